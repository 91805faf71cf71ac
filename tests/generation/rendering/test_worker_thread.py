"""A hand does one thing at a time and lets go within a step."""

from __future__ import annotations

import asyncio
import threading

import pytest

from generation.progress import Cancelled, OnStep
from generation.rendering.worker_thread import WorkerThread


async def test_steps_are_reported_in_the_event_loop_and_the_result_is_returned() -> None:
    hand, heard = WorkerThread("test"), list[tuple[int, int]]()
    loop_thread = threading.get_ident()

    def work(on_step: OnStep) -> int:
        on_step(1, 2)
        on_step(2, 2)
        return threading.get_ident()

    def listen(done: int, total: int) -> None:
        assert threading.get_ident() == loop_thread
        heard.append((done, total))

    assert await hand.run(work, listen) != loop_thread
    assert heard == [(1, 2), (2, 2)]
    hand.close()


async def test_cancelled_work_has_stopped_before_the_caller_continues() -> None:
    hand, running, over = WorkerThread("test"), asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def work(on_step: OnStep) -> None:
        loop.call_soon_threadsafe(running.set)
        try:
            while True:
                on_step(0, 1)
        except Cancelled:
            over.set()
            raise

    task = asyncio.create_task(hand.run(work, lambda *_: None))
    await running.wait()
    task.cancel()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert over.is_set()
    hand.close()


async def test_exclusive_is_first_come_first_served() -> None:
    hand, order = WorkerThread("test"), list[int]()

    async def one(number: int) -> None:
        async with hand.exclusive():
            order.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(one(number) for number in range(5)))
    assert order == list(range(5))
    hand.close()


async def test_an_error_comes_back_as_it_is() -> None:
    hand = WorkerThread("test")

    def work(_: OnStep) -> None:
        raise LookupError("here")

    with pytest.raises(LookupError, match="here"):
        await hand.run(work, lambda *_: None)
    hand.close()
