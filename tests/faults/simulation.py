"""Who plays in the soak: an engine and chats that only take time and fail as the dice say, and people."""

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

from bot.domain.errors import PERSONAL
from bot.domain.jobs import Job, ReplyTo, Requester, State
from bot.pipeline.delivery import Doubtful, Parcel, Rejected, SendError, TooLarge, Unreachable
from bot.studio.studio import Studio
from generation.clip import Clip
from generation.engines.engine import OnProgress, Order
from generation.errors import EngineDied, EngineStuck, GenerationError, OutOfMemory, PaintFailed
from generation.progress import Progress, Stage
from generation.request import MusicWish, Wish
from tests.faults.virtual_clock import Killed

FAULTS = 0.02
HOUR = 3600.0


@dataclass
class Trace:
    """Everything that happened, in order, as one number."""

    clock: Callable[[], float]
    _hash: hashlib._Hash = field(default_factory=hashlib.sha256)
    events: int = 0

    def note(self, what: str, *facts: object) -> None:
        self.events += 1
        self._hash.update(f"{self.clock():.3f} {what} {facts}\n".encode())

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()[:16]


class Painter:
    """An Engine that paints one clip at a time and encodes beside it."""

    slots = 2

    def __init__(self, seed: int, trace: Trace) -> None:
        self._seed, self._trace = seed, trace
        self._brush = asyncio.Lock()
        self._inside: dict[str, asyncio.Future[Clip]] = {}

    async def open(self) -> None:
        """Nothing to get ready."""

    async def close(self) -> None:
        """Nothing to give back."""

    async def render(self, order: Order, on_progress: OnProgress) -> Clip:
        end: asyncio.Future[Clip] = asyncio.get_running_loop().create_future()
        self._inside[order.label] = end
        work = asyncio.create_task(self._paint(order, on_progress, end))
        try:
            return await end
        finally:
            work.cancel()
            del self._inside[order.label]

    async def _paint(self, order: Order, on_progress: OnProgress, end: asyncio.Future[Clip]) -> None:
        dice = random.Random(f"{self._seed} {order.label}")
        async with self._brush:
            for step in range(3):
                on_progress(Progress(Stage.PAINTING, step, 3))
                await asyncio.sleep(dice.uniform(5, 20))
            if dice.random() < FAULTS:
                self._fail(order, end, dice)
                return
        on_progress(Progress(Stage.ENCODING, 0, 1))
        await asyncio.sleep(dice.uniform(1, 6))
        if not end.done():
            self._trace.note("made", order.label)
            end.set_result(_clip(order))

    def _fail(self, order: Order, end: asyncio.Future[Clip], dice: random.Random) -> None:
        name = order.preset.name
        error: GenerationError = dice.choice(
            [EngineDied("fault"), EngineStuck(300.0), PaintFailed(name, "black"), OutOfMemory(name)]
        )
        self._trace.note("failed", order.label, type(error).__name__)
        if not end.done():
            end.set_exception(error)
        if isinstance(error, EngineDied | EngineStuck):
            for other in self._inside.values():  # the others were only standing by
                if not other.done():
                    other.set_exception(EngineDied("bystander", guilty=False))


def _clip(order: Order) -> Clip:
    order.folder.mkdir(parents=True, exist_ok=True)
    path = order.folder / "clip.mp4"
    path.write_bytes(b"a clip")
    asked = order.request
    return Clip(
        path=path,
        width=asked.width,
        height=asked.height,
        fps=asked.fps,
        frames=asked.frames,
        seconds=asked.seconds,
        size=6,
        audio=True,
    )


@dataclass
class Chat:
    """A platform: what can be seen there outlives every restart of ours."""

    name: str
    deduplicates: bool
    seed: int
    trace: Trace
    shown: array[int] = field(default_factory=lambda: array("B"))
    tries: int = 0

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def say(self, job: Job, text: str, *, progress: Progress | None = None) -> None:
        del text
        await asyncio.sleep(0.2)
        if progress is None:
            self.trace.note("told", job.id, job.state.value)

    async def deliver(self, parcel: Parcel) -> str:
        self.tries += 1
        dice = random.Random(f"{self.seed} {self.name} {self.tries}")
        await asyncio.sleep(dice.uniform(0.3, 3.0))
        failure: SendError | None = None
        if dice.random() < FAULTS:
            failure = dice.choice([Unreachable("down"), Rejected("blocked"), TooLarge(), Doubtful("silence")])
        arrives = failure is None or (isinstance(failure, Doubtful) and dice.random() < 0.5)
        if arrives:
            self._show(parcel.job.id)
        await asyncio.sleep(dice.uniform(0.1, 1.0))
        if failure is not None:
            self.trace.note("not sent", parcel.job.id, type(failure).__name__)
            raise failure
        return f"message {self.tries}"

    async def delivered(self, job: Job) -> None:
        self.trace.note("delivered", job.id)

    def _show(self, job: int) -> None:
        self.shown.extend([0] * (job + 1 - len(self.shown)))
        if not (self.deduplicates and self.shown[job]):
            self.shown[job] += 1
        self.trace.note("shown", job)

    def times(self, job: int) -> int:
        return self.shown[job] if job < len(self.shown) else 0


@dataclass
class Person:
    """Asks now and then, plays with what came, and takes no for an answer."""

    number: int
    seed: int
    trace: Trace
    said: Counter[str]
    again: set[int]  # which clips were asked for a second time
    rest: float = 20 * HOUR
    last: int = 0
    updates: int = 0

    def __post_init__(self) -> None:
        self._dice = random.Random(f"{self.seed} person {self.number}")
        self.platform = "discord" if self.number % 2 else "telegram"
        community = f"c{self.number % 9}" if self.number % 3 else ""
        self.me = Requester(platform=self.platform, user=f"u{self.number}", community=community)

    async def live(self, studio: Callable[[], Studio | None]) -> None:
        while True:
            await asyncio.sleep(self._dice.expovariate(1 / self.rest))
            here = studio()
            if here is None:
                self.said["nobody home"] += 1
                continue
            verb = self._dice.choices(
                [self.ask, self.reroll, self.rescore, self.cancel, self.send_again, self.look, self.forget],
                [60, 15, 8, 6, 6, 4, 0.2],
            )[0]
            try:
                await verb(here)
                self.said[verb.__name__] += 1
            except PERSONAL as refusal:
                self.said[type(refusal).__name__] += 1
                self.trace.note("refused", self.number, type(refusal).__name__)
            except Killed:
                self.said["cut off"] += 1

    async def ask(self, studio: Studio) -> None:
        self.updates += 1
        wish = Wish(prompt=self._dice.choice(["a fox", "a boat at night", "rain", ""]), model="testcard")
        update = f"{self.number}-{self.updates}"
        ticket = await studio.submit(wish, self.me, self.reply_to, update=update)
        if self._dice.random() < FAULTS:  # the platform says it twice
            again = await studio.submit(wish, self.me, self.reply_to, update=update)
            assert again.job.id == ticket.job.id
        self.last = ticket.job.id
        self.trace.note("asked", self.number, self.last)

    async def reroll(self, studio: Studio) -> None:
        if self.last:
            self.last = (await studio.reroll(self.last, self.me, self.reply_to)).job.id

    async def rescore(self, studio: Studio) -> None:
        if self.last:
            wish = MusicWish(genre="jazz")
            self.last = (await studio.rescore(self.last, wish, self.me, self.reply_to)).job.id

    async def cancel(self, studio: Studio) -> None:
        await self.ask(studio)
        await asyncio.sleep(self._dice.uniform(0, 60))
        await studio.cancel(self.last, self.me)

    async def send_again(self, studio: Studio) -> None:
        for job in await studio.history(self.me, 10):
            if job.state is State.UNCERTAIN:
                self.again.add(job.id)
                await studio.send_again(job.id, self.me)

    async def look(self, studio: Studio) -> None:
        await studio.balance(self.me)
        with suppress(*PERSONAL):
            await studio.eta(self.last)

    async def forget(self, studio: Studio) -> None:
        await studio.forget(self.me)
        self.last = 0

    @property
    def reply_to(self) -> ReplyTo:
        return ReplyTo(platform=self.platform, chat=f"c{self.number}", limit=8_000_000)


async def smaller(clip: Clip, limit: int) -> Clip:
    """Fits: how is proven elsewhere."""
    return structs.replace(clip, size=min(clip.size, limit))
