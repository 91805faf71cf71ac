"""A worker thread runs one task at a time in steps and can be stopped at any step."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from generation.progress import Cancelled, OnStep

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

T = TypeVar("T")


class WorkerThread:
    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        """Hold the thread; callers wait in order."""
        async with self._lock:
            yield

    async def run(self, work: Callable[[OnStep], T], on_step: OnStep) -> T:
        """Run `work` in the thread. When cancelled, wait until it stops, which takes at most one step."""
        loop = asyncio.get_running_loop()
        stop = threading.Event()

        def step(done: int, total: int) -> None:
            if stop.is_set():
                raise Cancelled
            loop.call_soon_threadsafe(on_step, done, total)

        running = loop.run_in_executor(self._executor, work, step)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            stop.set()
            while not running.done():
                await _wait_ignoring_cancel(running)
            if not running.cancelled():
                running.exception()  # mark as retrieved
            raise

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)


async def _wait_ignoring_cancel(running: asyncio.Future[T]) -> None:
    """Wait once. A further cancellation is ignored: it would not stop the thread sooner."""
    try:
        await asyncio.wait({running})
    except asyncio.CancelledError:
        return
