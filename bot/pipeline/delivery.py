"""Fit, send, mark: how a rendered clip reaches its chat, and what a chat has to be able to do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import structlog

from bot.domain.errors import CannotDeliver, ClipGone, ClipRefused, NeedsReview
from bot.domain.frontend import (
    Button,
    Connecting,
    Doubtful,
    Frontend,
    Parcel,
    Rejected,
    SendError,
    TooLarge,
    Unreachable,
    reachable,
)
from bot.domain.jobs import Action, Job, State
from bot.i18n import messages
from bot.moderation.clip_inspection import Finding
from bot.pipeline.retry import REFUSED, ill, insist, settled
from bot.pipeline.status_updates import Words
from bot.pipeline.wake_up import Bell
from bot.store.store import Store, Superseded
from generation.clip import Clip
from generation.errors import CannotFit, Told
from generation.failpoint import Place, here
from generation.media.size_estimate import ROOM
from generation.models.common.preset import Preset
from generation.models.common.vocabulary import unheard
from generation.progress import Progress
from generation.request import Kind

__all__ = [
    "Button",
    "Connecting",
    "Delivery",
    "Doubtful",
    "Frontend",
    "Parcel",
    "Rejected",
    "SendError",
    "TooLarge",
    "Unreachable",
    "buttons",
]

log = structlog.get_logger(__name__)


Fit = Callable[[Clip, int], Awaitable[Clip]]
"""The clip within so many bytes, beside the original; raises GenerationError."""

Dress = Callable[[Job, Clip, int], Awaitable[Clip]]
"""The clip as this person wants to have it, still within so many bytes; 0 is no limit."""

Inspect = Callable[[Job], Awaitable[Finding]]
"""What a finished clip shows, and so what becomes of it."""

AT_ONCE = 4
SHRINKS = 2
"""How often a clip is made smaller because a chat refused it below its own limit."""
SHRINK = 0.8
RETRY_AFTER = (2.0, 10.0, 60.0, 300.0)
"""Seconds between tries at an unreachable chat; the last goes on until it works."""
IDLE = 2.0


class Delivery:
    """Carries rendered clips to their chats, and word of how the others are doing."""

    def __init__(
        self,
        *,
        store: Store,
        frontends: Mapping[str, Frontend],
        fit: Fit,
        inspect: Inspect | None = None,
        dress: Dress | None = None,
        presets: Mapping[str, Preset] = MappingProxyType({}),
        retry_after: Sequence[float] = RETRY_AFTER,
    ) -> None:
        self._store = store
        self._presets = presets
        self._frontends = frontends
        self._fit = fit
        self._inspect = inspect
        self._dress = dress
        self.on_held: Callable[[Job], None] = _nobody_looks
        self._retry_after = retry_after
        self.idle = IDLE
        self._bell = Bell()
        self._sends: dict[int, tuple[str, asyncio.Task[None]]] = {}
        self._pauses: dict[int, _Pause] = {}
        self._words = Words(store, frontends)
        self._closing = False

    @property
    def looked_at(self) -> float | None:
        """When it last had nothing to do, on the loop's clock; None before that."""
        return self._bell.waited_at

    def ring(self) -> None:
        """There may be something to send."""
        self._bell.ring()

    async def run(self) -> None:
        """Until cancelled. A send that has begun is let finish, so that its answer is not lost."""
        waking = [
            asyncio.create_task(self._wake_when_ready(frontend))
            for frontend in self._frontends.values()
            if isinstance(frontend, Connecting)
        ]
        try:
            while True:
                for job in await insist(self._store.undelivered):
                    if self._may_begin(job):
                        self._begin(job)
                await self._words.say_what_is_owed()
                await self._bell.wait(self.idle)
        finally:
            for task in waking:
                task.cancel()
            await self.settle()

    async def settle(self) -> None:
        """Wait for what is being sent and said just now; who stops waiting stops nothing."""
        if self._sends:
            await asyncio.wait([task for _, task in self._sends.values()])
        await self._words.settle()

    async def finish(self) -> None:
        """Send all that is finished and can be sent; then begin nothing more."""
        try:
            while ready := [job for job in await insist(self._store.undelivered) if self._may_begin(job)]:
                for job in ready:
                    if self._may_begin(job):
                        self._begin(job)
                await self.settle()
        finally:
            self._closing = True

    def progress(self, job: Job, progress: Progress) -> None:
        self._words.say(job, messages.working(job, progress, job.requester.language), progress)

    def ended(self, job: Job) -> None:
        """Tell that a job ended without a clip to show."""
        self._words.ended(job)

    async def _wake_when_ready(self, frontend: Connecting) -> None:
        await frontend.ready.wait()
        self._words.look_again()
        self.ring()

    def _may_begin(self, job: Job) -> bool:
        """One platform that does not answer must not keep the others waiting."""
        pause = self._pauses.get(job.id)
        frontend = self._frontends.get(job.reply_to.platform)
        if self._closing or frontend is None or not reachable(frontend):
            return False
        if job.id in self._sends or (pause is not None and asyncio.get_running_loop().time() < pause.until):
            return False
        return sum(platform == job.reply_to.platform for platform, _ in self._sends.values()) < AT_ONCE

    def _begin(self, job: Job) -> None:
        task = asyncio.create_task(self._one(job), name=f"delivery {job.id}")
        self._sends[job.id] = (job.reply_to.platform, task)
        task.add_done_callback(lambda _: self._finished(job.id))

    def _finished(self, job_id: int) -> None:
        del self._sends[job_id]
        self.ring()

    async def _one(self, job: Job) -> None:
        """Whatever is raised in here was raised before anything can have been sent."""
        with structlog.contextvars.bound_contextvars(job=job.id):
            try:
                found = await self._inspect(job) if self._inspect else Finding.CLEAR
                if found is Finding.HOLD:
                    await self._set_aside(job)
                elif found is Finding.REFUSE:
                    await self._give_up(job, ClipRefused())
                else:
                    await self._deliver(job, self._frontends[job.reply_to.platform], found=found)
            except REFUSED as error:
                log.warning("cannot be sent yet", reason=str(error))
                self._pause(job)
            except Superseded as gone:
                log.info("not to be sent any more", state=gone.state)
            except Told as error:
                log.warning("cannot be delivered", exc_info=error)
                await self._give_up(job, error)
            except Exception:  # the edge of a delivery's task: the clip is kept, the others go on
                log.exception("delivery failed unexpectedly")
                await self._give_up(job, CannotDeliver(job.reply_to.platform))

    async def _set_aside(self, job: Job) -> None:
        verb = self._store.hold_clip
        held = await settled(self._store, job.id, lambda: verb(job.id, NeedsReview()), State.HELD)
        if held is not None:
            self.ended(held)
            self.on_held(held)

    async def _deliver(self, job: Job, frontend: Frontend, *, found: Finding) -> None:
        """Try until it is there, smaller if need be; an unreachable chat is left for a later round."""
        limit, shrinks = job.reply_to.limit, 0
        while True:
            parcel = await self._parcel(job, limit, spoiler=found is Finding.SPOILER)
            await self._intend(job)
            try:
                message = await self._send(frontend, parcel)
            except TooLarge as refusal:
                await self._back(job)
                shrinks += 1
                if shrinks > SHRINKS:
                    raise CannotFit(limit, parcel.clip.size) from refusal
                limit = refusal.limit or int(parcel.clip.size * SHRINK)
            except SendError as error:
                await self._not_sent(job, frontend, error)
                return
            else:
                await self._mark(job, frontend, message)
                return

    async def _intend(self, job: Job) -> None:
        """From here on a crash leaves it in doubt; a refusal does not, as nothing was sent."""
        try:
            here(Place.BEGIN, ill)
            await self._store.begin_delivery(job.id)
            here(Place.BEGUN, ill)
        except REFUSED:
            await self._back(job)
            raise

    async def _send(self, frontend: Frontend, parcel: Parcel) -> str:
        """The message's id; raises a SendError."""
        try:
            here(Place.SEND)
            return await frontend.deliver(parcel)
        except SendError:
            raise
        except Exception as surprise:  # perhaps it came after the clip had left
            log.exception("a send ended in a surprise")
            raise Doubtful(type(surprise).__name__) from surprise

    async def _mark(self, job: Job, frontend: Frontend, message: str) -> None:
        """The chat has it: that is written down however often the disk refuses, and never taken back."""

        async def mark() -> Job:
            here(Place.SENT, ill)
            done = await self._store.delivered(job.id, message)
            here(Place.MARKED, ill)
            return done

        done = await settled(self._store, job.id, mark, State.DELIVERED)
        self._pauses.pop(job.id, None)
        if done is None:
            return
        log.info("delivered", message=message)
        try:
            await frontend.delivered(done)
        except Exception:  # it is tidiness only
            log.exception("not tidied up")

    async def _not_sent(self, job: Job, frontend: Frontend, error: SendError) -> None:
        log.warning("not sent", kind=type(error).__name__, reason=str(error))
        if isinstance(error, Rejected):
            await self._give_up(job, CannotDeliver(frontend.name))
        elif isinstance(error, Doubtful) and not frontend.deduplicates:
            done = await settled(self._store, job.id, lambda: self._store.doubtful(job.id), State.UNCERTAIN)
            if done is not None:
                self.ended(done)
        else:
            await self._back(job)
            self._pause(job)

    async def _back(self, job: Job) -> None:
        """Certainly not sent: as if it had not begun."""
        await settled(self._store, job.id, lambda: self._store.not_sent(job.id), State.RENDERED)

    async def _give_up(self, job: Job, error: Told) -> None:
        verb = self._store.delivery_failed
        done = await settled(self._store, job.id, lambda: verb(job.id, error), State.FAILED)
        self._pauses.pop(job.id, None)
        if done is not None:
            self.ended(done)

    def _pause(self, job: Job) -> None:
        tries = self._pauses[job.id].tries + 1 if job.id in self._pauses else 0
        pause = self._retry_after[min(tries, len(self._retry_after) - 1)]
        self._pauses[job.id] = _Pause(tries, asyncio.get_running_loop().time() + pause)

    async def _parcel(self, job: Job, limit: int, *, spoiler: bool) -> Parcel:
        assert job.clip is not None, f"job {job.id} is rendered, so it has a clip"
        here(Place.FIT)
        if not await asyncio.to_thread(job.clip.path.is_file):
            raise ClipGone(job.id)
        clip = await self._fit(job.clip, limit) if limit and job.clip.size > limit * ROOM else job.clip
        here(Place.FITTED)
        if self._dress is not None:
            clip = await self._dress(job, clip, limit)
        notice = await self._store.announcement()
        aside = self._aside(job)
        text = "\n".join(filter(None, (messages.ready(job, job.requester.language), aside, notice)))
        return Parcel(
            job=job,
            clip=clip,
            text=text,
            buttons=buttons(job),
            notice=notice,
            spoiler=spoiler,
            nonce=f"matinee-{job.id}",
            aside=aside,
        )

    def _aside(self, job: Job) -> str:
        preset = self._presets.get(job.request.model)
        if preset is None or job.request.kind is Kind.SCORE:
            return ""
        missed = unheard(preset, job.request.prompt)
        return messages.unheard(missed, job.requester.language, briefly=True) if missed else ""


def buttons(job: Job) -> tuple[Button, ...]:
    language = job.requester.language
    return tuple(
        Button(messages.words(f"button.{verb}", language), Action(verb, job.id))
        for verb in ("reroll", "score")
    )


def _nobody_looks(_: Job) -> None:
    pass


@dataclass(frozen=True, slots=True)
class _Pause:
    tries: int
    until: float
