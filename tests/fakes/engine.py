"""An engine without models: its clips are a few bytes, and the test controls when and how a render ends."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from msgspec import structs

from generation.clip import Clip
from generation.order import Order
from generation.progress import PREVIEW_FILE, OnProgress, Progress, Stage
from generation.request import Kind
from tests.factories import write_clip

STEPS = 4


def job_number(label: str) -> int:
    """The job of an order with this label."""
    return int(label.partition(".")[0])


def clip_bytes(job: int, size: int = 0) -> bytes:
    """The content of a job's clip: its number, then zero bytes up to `size`."""
    return f"job {job}".encode().ljust(size, b"\0")


@dataclass
class FakeEngine:
    """Renders at once while `unblocked` is set. If `manual`, a render ends only with `finish` or `fail`."""

    slots: int = 2
    manual: bool = False
    size: int = 0  # bytes of a clip, if it should be larger than its number
    preview: bytes = b""  # a preview picture, written before the first step
    poster: bytes = b""
    error: Exception | None = None  # raised at the end of each render
    step_pause: float = 0.0  # seconds after each step
    pauses: tuple[float, ...] = (
        0.0,
    )  # seconds before the render of job 1, 2 and so on; the last is repeated
    error_on_open: Exception | None = None
    starts: int = 0
    silent_for: float | None = 0.0
    unblocked: asyncio.Event = field(default_factory=asyncio.Event)
    orders: dict[str, tuple[Order, asyncio.Future[Clip]]] = field(default_factory=dict)
    listeners: dict[str, OnProgress] = field(default_factory=dict)
    max_in_flight: int = 0
    rendered: list[str] = field(default_factory=list)  # labels of the finished orders

    def __post_init__(self) -> None:
        self.unblocked.set()

    async def open(self) -> None:
        self.starts += 1
        if self.error_on_open is not None:
            raise self.error_on_open
        self.silent_for = 0.0

    async def close(self) -> None:
        assert not self.orders, "a stopped worker must end its renders"

    async def render(self, order: Order, on_progress: OnProgress) -> Clip:
        assert order.label not in self.orders, "a label must be unique while in flight"
        end: asyncio.Future[Clip] = asyncio.get_running_loop().create_future()
        self.orders[order.label], self.listeners[order.label] = (order, end), on_progress
        self.max_in_flight = max(self.max_in_flight, len(self.orders))
        try:
            if self.manual:
                on_progress(Progress(Stage.GENERATING_FRAMES, 0, order.request.steps))
            else:
                await self._render_unaided(order)
            return await end
        finally:
            del self.orders[order.label], self.listeners[order.label]

    async def _render_unaided(self, order: Order) -> None:
        await asyncio.sleep(self.pauses[min(job_number(order.label), len(self.pauses)) - 1])
        if self.preview:
            order.folder.mkdir(parents=True, exist_ok=True)
            (order.folder / PREVIEW_FILE).write_bytes(self.preview)
        for step in range(1, STEPS + 1):
            self.report(order.label, Stage.GENERATING_FRAMES, step, STEPS)
            await asyncio.sleep(self.step_pause)
            await self.unblocked.wait()
        if self.error is not None:
            raise self.error
        self.finish(order.label)

    def unfinished(self) -> list[str]:
        """The labels of the orders that have not ended."""
        return [label for label, (_, end) in self.orders.items() if not end.done()]

    def report(self, label: str, stage: Stage, done: int, total: int) -> None:
        """Report progress of this order."""
        self.listeners[label](Progress(stage, done, total))

    def finish(self, label: str) -> None:
        order, end = self.orders[label]
        path = order.folder / ("clip.png" if order.request.kind is Kind.IMAGE else "clip.mp4")
        clip = write_clip(path, order.request, clip_bytes(job_number(label), self.size))
        if self.poster:
            clip = structs.replace(clip, poster=order.folder / "poster.jpg")
            (order.folder / "poster.jpg").write_bytes(self.poster)
        self.rendered.append(label)
        end.set_result(clip)

    def fail(self, label: str, error: Exception) -> None:
        self.orders[label][1].set_exception(error)
