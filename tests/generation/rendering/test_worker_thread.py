"""A worker thread runs one task at a time and stops within a step."""

from __future__ import annotations

import asyncio
import threading

import pytest

from generation.progress import Cancelled, OnStep
from generation.rendering.worker_thread import WorkerThread


async def test_steps_are_reported_in_the_event_loop_and_the_result_is_returned() -> None:
    worker, received = WorkerThread("test"), list[tuple[int, int]]()
    loop_thread = threading.get_ident()

    def work(on_step: OnStep) -> int:
        on_step(1, 2)
        on_step(2, 2)
        return threading.get_ident()

    def listen(done: int, total: int) -> None:
        assert threading.get_ident() == loop_thread
        received.append((done, total))

    assert await worker.run(work, listen) != loop_thread
    assert received == [(1, 2), (2, 2)]
    worker.close()


async def test_cancelled_work_has_stopped_before_the_caller_continues() -> None:
    worker, running, stopped = WorkerThread("test"), asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def work(on_step: OnStep) -> None:
        loop.call_soon_threadsafe(running.set)
        try:
            while True:
                on_step(0, 1)
        except Cancelled:
            stopped.set()
            raise

    task = asyncio.create_task(worker.run(work, lambda *_: None))
    await running.wait()
    task.cancel()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stopped.is_set()
    worker.close()


async def test_exclusive_is_first_come_first_served() -> None:
    worker, order = WorkerThread("test"), list[int]()

    async def hold(number: int) -> None:
        async with worker.exclusive():
            order.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(hold(number) for number in range(5)))
    assert order == list(range(5))
    worker.close()


async def test_an_error_comes_back_as_it_is() -> None:
    worker = WorkerThread("test")

    def work(_: OnStep) -> None:
        raise LookupError("here")

    with pytest.raises(LookupError, match="here"):
        await worker.run(work, lambda *_: None)
    worker.close()
