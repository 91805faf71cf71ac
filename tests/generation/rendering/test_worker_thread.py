"""A hand does one thing at a time and lets go within a step."""

from __future__ import annotations

import asyncio
import threading

import pytest

from generation.progress import Cancelled, OnStep
from generation.rendering.worker_thread import Hand


async def test_steps_are_heard_in_the_loop_and_the_result_comes_back() -> None:
    hand, heard = Hand("test"), list[tuple[int, int]]()
    here = threading.get_ident()

    def work(on_step: OnStep) -> int:
        on_step(1, 2)
        on_step(2, 2)
        return threading.get_ident()

    def listen(done: int, total: int) -> None:
        assert threading.get_ident() == here
        heard.append((done, total))

    assert await hand.do(work, listen) != here
    assert heard == [(1, 2), (2, 2)]
    hand.close()


async def test_a_cancelled_piece_has_stopped_when_the_caller_goes_on() -> None:
    hand, running, over = Hand("test"), asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def work(on_step: OnStep) -> None:
        loop.call_soon_threadsafe(running.set)
        try:
            while True:
                on_step(0, 1)
        except Cancelled:
            over.set()
            raise

    task = asyncio.create_task(hand.do(work, lambda *_: None))
    await running.wait()
    task.cancel()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert over.is_set()
    hand.close()


async def test_turns_are_first_come_first_served() -> None:
    hand, order = Hand("test"), list[int]()

    async def one(number: int) -> None:
        async with hand.turn():
            order.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(one(number) for number in range(5)))
    assert order == list(range(5))
    hand.close()


async def test_an_error_comes_back_as_it_is() -> None:
    hand = Hand("test")

    def work(_: OnStep) -> None:
        raise LookupError("here")

    with pytest.raises(LookupError, match="here"):
        await hand.do(work, lambda *_: None)
    hand.close()
