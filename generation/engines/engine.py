"""The Engine protocol: an engine renders orders, as many at a time as it has slots, and returns clips."""

from __future__ import annotations

from typing import Protocol

from generation.clip import Clip
from generation.order import Order
from generation.progress import OnProgress


class Engine(Protocol):
    """A place where clips are rendered: a child process, a cluster or a remote server."""

    @property
    def slots(self) -> int:
        """How many orders to keep in flight, so that frame generation never waits."""

    @property
    def starts(self) -> int:
        """How often the engine has been started."""

    @property
    def silent_for(self) -> float | None:
        """Seconds since its last sign of life, or None while it is not running."""

    async def open(self) -> None:
        """Get ready; raises GenerationError if it cannot."""

    async def render(self, order: Order, on_progress: OnProgress) -> Clip:
        """Render the clip; raises GenerationError, or CancelledError if the caller's task is cancelled."""

    async def close(self) -> None:
        """End every render and release all resources."""
