"""How one loop wakes another: ring it as often as you like, the sleeper wakes once."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Bell:
    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.waited_at: float | None = None
        """When, on the loop's clock, its sleeper last lay down."""

    def ring(self) -> None:
        self._event.set()

    async def wait(self, at_most: float) -> None:
        """Until it is rung, or so many seconds have gone: a lost ring delays, it never blocks."""
        self.waited_at = asyncio.get_running_loop().time()
        with suppress(TimeoutError):
            # Not wait_for: until 3.12 that loses a cancellation which comes together with a ring.
            async with asyncio.timeout(at_most):
                await self._event.wait()
        self._event.clear()
