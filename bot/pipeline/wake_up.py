"""How one loop wakes another: ring it as often as you like, the sleeper wakes once."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class WakeUp:
    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.last_wait_at: float | None = None
        """When, on the loop's clock, its sleeper last lay down."""

    def set(self) -> None:
        self._event.set()

    async def wait(self, seconds: float) -> None:
        """Return when `set` was called, or after so many seconds: a lost signal delays, it never blocks."""
        self.last_wait_at = asyncio.get_running_loop().time()
        with suppress(TimeoutError):
            # Not wait_for: until 3.12 that loses a cancellation which comes together with a ring.
            async with asyncio.timeout(seconds):
                await self._event.wait()
        self._event.clear()
