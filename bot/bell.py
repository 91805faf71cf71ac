"""How one loop wakes another: ring it as often as you like, the sleeper wakes once."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Bell:
    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        self._event.set()

    async def wait(self, at_most: float) -> None:
        """Until it is rung, or so many seconds have gone: a lost ring delays, it never blocks."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), at_most)
        self._event.clear()
