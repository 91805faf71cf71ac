"""The bot and its tests run on the same kind of event loop."""

from __future__ import annotations

import asyncio
import signal
import sys

import pytest

from bot.runtime import event_loop


async def running_loop_type() -> type[asyncio.AbstractEventLoop]:
    return type(asyncio.get_running_loop())


async def test_tests_run_on_the_event_loop_of_the_bot() -> None:
    ours = event_loop.new_event_loop()
    try:
        assert await running_loop_type() is type(ours)
    finally:
        ours.close()


def test_a_command_runs_on_uvloop_and_leaves_no_loop_running() -> None:
    found = event_loop.run(running_loop_type())
    assert found.__module__.startswith("asyncio" if sys.platform == "win32" else "uvloop")
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


def test_signal_handlers_are_restored() -> None:
    async def listen() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, list)

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    event_loop.run(listen())
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_an_exception_in_a_command_is_raised() -> None:
    async def fail() -> None:
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        event_loop.run(fail())
