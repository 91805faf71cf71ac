"""The event loop of the bot: uvloop, which needs less time to wake a task than asyncio's own loop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def new_event_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop  # noqa: PLC0415  (needed only to run a loop)
    except ImportError:  # uvloop does not support Windows
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end. Call it in the main thread, which receives the signals."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            return runner.run(main)
    finally:
        for number, handler in before.items():  # otherwise both would be ignored after the loop is closed
            signal.signal(number, handler or signal.SIG_DFL)
