"""A coalescing wake-up: many `set()` calls, one wake."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class WakeUp:
    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.last_wait_at: float | None = None
        """When `wait` was last called, on the clock of the event loop."""

    def set(self) -> None:
        self._event.set()

    async def wait(self, seconds: float) -> None:
        """Return when `set` is called, or after so many seconds, so that a lost signal only delays."""
        self.last_wait_at = asyncio.get_running_loop().time()
        with suppress(TimeoutError):
            # Not wait_for: before Python 3.12 it loses a cancellation that comes together with the signal.
            async with asyncio.timeout(seconds):
                await self._event.wait()
        self._event.clear()
