"""Who runs a render. An Engine takes Orders, as many at a time as it has slots, and yields Clips."""

from __future__ import annotations

from typing import Protocol

from generation.clip import Clip
from generation.order import Order
from generation.progress import OnProgress

__all__ = ["Engine", "OnProgress", "Order"]


class Engine(Protocol):
    """One place where clips are made: a child process, a cluster, somebody's server."""

    @property
    def slots(self) -> int:
        """Orders it wants in flight at once, so that its painter never waits."""

    async def open(self) -> None:
        """Get ready; raises GenerationError when it never can be."""

    async def render(self, order: Order, on_progress: OnProgress) -> Clip:
        """Make the clip; raises GenerationError, or CancelledError when the caller's task is cancelled."""

    async def close(self) -> None:
        """End every render and give everything back."""
