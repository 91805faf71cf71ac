"""A fake engine that keeps every order until the test finishes it or lets it fail."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from generation.clip import Clip
from generation.order import Order
from generation.progress import OnProgress, Progress, Stage


@dataclass
class FakeEngine:
    slots: int = 2
    orders: dict[str, tuple[Order, asyncio.Future[Clip]]] = field(default_factory=dict)
    listeners: dict[str, OnProgress] = field(default_factory=dict)
    starts: int = 1
    silent_for: float | None = 0.0
    max_in_flight: int = 0  # the most orders in flight at once

    async def open(self) -> None:
        """Nothing to prepare."""

    async def close(self) -> None:
        assert not self.orders, "orders were still in flight at close"

    async def render(self, order: Order, on_progress: OnProgress) -> Clip:
        assert order.label not in self.orders, "a label was ordered twice at a time"
        end: asyncio.Future[Clip] = asyncio.get_running_loop().create_future()
        self.orders[order.label], self.listeners[order.label] = (order, end), on_progress
        self.max_in_flight = max(self.max_in_flight, len(self.orders))
        on_progress(Progress(Stage.GENERATING_FRAMES, 0, order.request.steps))
        try:
            return await end
        finally:
            del self.orders[order.label], self.listeners[order.label]

    def unfinished(self) -> list[str]:
        """Return the labels of the orders that have not ended."""
        return [label for label, (_, end) in self.orders.items() if not end.done()]

    def report(self, label: str, stage: Stage, done: int, total: int) -> None:
        """Report progress of this order."""
        self.listeners[label](Progress(stage, done, total))

    def finish(self, label: str) -> None:
        order, end = self.orders[label]
        order.folder.mkdir(parents=True, exist_ok=True)
        path = order.folder / "clip.mp4"
        path.write_bytes(b"a clip")
        request = order.request
        end.set_result(
            Clip(
                path=path,
                width=request.width,
                height=request.height,
                fps=request.fps,
                frames=request.frames,
                seconds=request.seconds,
                size=6,
                audio=True,
            )
        )

    def fail(self, label: str, error: Exception) -> None:
        self.orders[label][1].set_exception(error)
