"""Simulated engine, chats and users for the soak test: they only take time and fail at random."""

from __future__ import annotations

import asyncio
import hashlib
import random
from array import array
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from msgspec import structs

from bot.domain.errors import USER_ERRORS
from bot.domain.frontend import MaybeSent, OutgoingClip, Rejected, SendError, TooLarge, Unreachable
from bot.domain.jobs import Job, JobState, ReplyTo, Requester
from bot.studio.studio import Studio, Viewer
from generation.clip import Clip
from generation.errors import EngineDied, EngineStuck, GenerationError, OutOfMemory, PictureFailed
from generation.order import Order
from generation.progress import OnProgress, Progress, Stage
from generation.request import MusicWish, Wish
from tests.factories import write_clip
from tests.fakes.engine import FakeEngine
from tests.faults.virtual_clock import StoreKilled

FAULT_RATE = 0.02
HOUR = 3600.0


@dataclass
class EventTrace:
    """A hash over all events in order, to compare two runs."""

    clock: Callable[[], float]
    _hash: hashlib._Hash = field(default_factory=hashlib.sha256)
    events: int = 0

    def record(self, event: str, *facts: object) -> None:
        self.events += 1
        self._hash.update(f"{self.clock():.3f} {event} {facts}\n".encode())

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()[:16]


class SimulatedEngine(FakeEngine):
    """Generates the frames of one clip at a time in virtual time and encodes another meanwhile."""

    def __init__(self, seed: int, trace: EventTrace) -> None:
        super().__init__()
        self._seed, self._trace = seed, trace
        self._render_lock = asyncio.Lock()
        self._running_renders: dict[str, asyncio.Future[Clip]] = {}

    async def render(self, order: Order, on_progress: OnProgress) -> Clip:
        end: asyncio.Future[Clip] = asyncio.get_running_loop().create_future()
        self._running_renders[order.label] = end
        work = asyncio.create_task(self._simulate_render(order, on_progress, end))
        try:
            return await end
        finally:
            work.cancel()
            del self._running_renders[order.label]

    async def _simulate_render(
        self, order: Order, on_progress: OnProgress, end: asyncio.Future[Clip]
    ) -> None:
        rng = random.Random(f"{self._seed} {order.label}")
        async with self._render_lock:
            for step in range(3):
                on_progress(Progress(Stage.GENERATING_FRAMES, step, 3))
                await asyncio.sleep(rng.uniform(5, 20))
            if rng.random() < FAULT_RATE:
                self._fail(order, end, rng)
                return
        on_progress(Progress(Stage.ENCODING, 0, 1))
        await asyncio.sleep(rng.uniform(1, 6))
        if not end.done():
            self._trace.record("rendered", order.label)
            end.set_result(write_clip(order.folder / "clip.mp4", order.request))

    def _fail(self, order: Order, end: asyncio.Future[Clip], rng: random.Random) -> None:
        name = order.preset.name
        error: GenerationError = rng.choice(
            [EngineDied("fault"), EngineStuck(300.0), PictureFailed(name, "black"), OutOfMemory(name)]
        )
        self._trace.record("failed", order.label, type(error).__name__)
        if not end.done():
            end.set_exception(error)
        if isinstance(error, EngineDied | EngineStuck):
            for other in self._running_renders.values():  # they did not cause it
                if not other.done():
                    other.set_exception(EngineDied("bystander", guilty=False))


@dataclass
class SimulatedChat:
    """A chat platform; what it shows survives every restart of the bot."""

    name: str
    deduplicates: bool
    seed: int
    trace: EventTrace
    shown_counts: array[int] = field(default_factory=lambda: array("B"))
    attempts: int = 0

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def show_status(self, job: Job, text: str, *, progress: Progress | None = None) -> None:
        del text
        await asyncio.sleep(0.2)
        if progress is None:
            self.trace.record("final status", job.id, job.state.value)

    async def send_clip(self, outgoing: OutgoingClip) -> str:
        self.attempts += 1
        rng = random.Random(f"{self.seed} {self.name} {self.attempts}")
        await asyncio.sleep(rng.uniform(0.3, 3.0))
        failure: SendError | None = None
        if rng.random() < FAULT_RATE:
            failure = rng.choice(
                [Unreachable("down"), Rejected("blocked"), TooLarge(), MaybeSent("no answer")]
            )
        arrives = failure is None or (isinstance(failure, MaybeSent) and rng.random() < 0.5)
        if arrives:
            self._count_shown(outgoing.job.id)
        await asyncio.sleep(rng.uniform(0.1, 1.0))
        if failure is not None:
            self.trace.record("not sent", outgoing.job.id, type(failure).__name__)
            raise failure
        return f"message {self.attempts}"

    async def after_delivery(self, job: Job) -> None:
        self.trace.record("delivered", job.id)

    def _count_shown(self, job: int) -> None:
        self.shown_counts.extend([0] * (job + 1 - len(self.shown_counts)))
        if not (self.deduplicates and self.shown_counts[job]):
            self.shown_counts[job] += 1
        self.trace.record("shown", job)

    def times_shown(self, job: int) -> int:
        return self.shown_counts[job] if job < len(self.shown_counts) else 0


@dataclass
class SimulatedUser:
    """A user who submits requests now and then, uses the buttons and accepts refusals."""

    number: int
    seed: int
    trace: EventTrace
    outcomes: Counter[str]
    resent_jobs: set[int]  # clips that a user asked to have sent again
    mean_pause: float = 20 * HOUR
    last_job: int = 0
    updates: int = 0

    def __post_init__(self) -> None:
        self._rng = random.Random(f"{self.seed} person {self.number}")
        self.platform = "discord" if self.number % 2 else "telegram"
        community = f"c{self.number % 9}" if self.number % 3 else ""
        self.requester = Requester(platform=self.platform, user=f"u{self.number}", community=community)

    async def run(self, studio: Callable[[], Studio | None]) -> None:
        while True:
            await asyncio.sleep(self._rng.expovariate(1 / self.mean_pause))
            current_studio = studio()
            if current_studio is None:
                self.outcomes["bot not running"] += 1
                continue
            action = self._rng.choices(
                [
                    self.submit,
                    self.reroll,
                    self.new_music,
                    self.cancel,
                    self.send_again,
                    self.check_balance_and_eta,
                    self.forget,
                ],
                [60, 15, 8, 6, 6, 4, 0.2],
            )[0]
            try:
                await action(current_studio)
                self.outcomes[action.__name__] += 1
            except USER_ERRORS as refusal:
                self.outcomes[type(refusal).__name__] += 1
                self.trace.record("refused", self.number, type(refusal).__name__)
            except StoreKilled:
                self.outcomes["bot killed"] += 1

    async def submit(self, studio: Studio) -> None:
        self.updates += 1
        wish = Wish(prompt=self._rng.choice(["a fox", "a boat at night", "rain", ""]), model="testcard")
        update = f"{self.number}-{self.updates}"
        submission = await studio.submit(wish, self.viewer, self.reply_to, idempotency_key=update)
        if self._rng.random() < FAULT_RATE:  # the platform repeats the update
            repeated = await studio.submit(wish, self.viewer, self.reply_to, idempotency_key=update)
            assert repeated.job.id == submission.job.id
        self.last_job = submission.job.id
        self.trace.record("submitted", self.number, self.last_job)

    async def reroll(self, studio: Studio) -> None:
        if self.last_job:
            self.last_job = (await studio.reroll(self.last_job, self.viewer, self.reply_to)).job.id

    async def new_music(self, studio: Studio) -> None:
        if self.last_job:
            wish = MusicWish(genre="jazz")
            self.last_job = (await studio.new_music(self.last_job, wish, self.viewer, self.reply_to)).job.id

    async def cancel(self, studio: Studio) -> None:
        await self.submit(studio)
        await asyncio.sleep(self._rng.uniform(0, 60))
        await studio.cancel(self.last_job, self.viewer)

    async def send_again(self, studio: Studio) -> None:
        for job in await studio.history(self.viewer, 10):
            if job.state is JobState.UNCERTAIN:
                self.resent_jobs.add(job.id)
                await studio.send_again(job.id, self.viewer)

    async def check_balance_and_eta(self, studio: Studio) -> None:
        await studio.balance(self.viewer)
        with suppress(*USER_ERRORS):
            await studio.eta(self.last_job, self.viewer)

    async def forget(self, studio: Studio) -> None:
        await studio.delete_personal_data(self.viewer)
        self.last_job = 0

    @property
    def viewer(self) -> Viewer:
        return Viewer(requester=self.requester, chat=self.reply_to.chat)

    @property
    def reply_to(self) -> ReplyTo:
        return ReplyTo(platform=self.platform, chat=f"c{self.number}", limit=8_000_000)


async def shrink_clip(clip: Clip, limit: int) -> Clip:
    """Pretend that the clip was re-encoded to fit; other tests cover that."""
    return structs.replace(clip, size=min(clip.size, limit))
