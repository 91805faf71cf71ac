"""The event loop under the bot: libuv's, which wakes a waiting task at less cost than asyncio's own."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def new() -> asyncio.AbstractEventLoop:
    try:
        import uvloop  # noqa: PLC0415  (only what runs a loop loads one)
    except ImportError:  # there is none for Windows
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def run(main: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=new) as runner:
        return runner.run(main)
