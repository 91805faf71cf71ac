"""Fit, send, mark: how a rendered clip reaches its chat, and what a chat has to be able to do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import structlog

from bot import messages
from bot.bell import Bell
from bot.errors import CannotDeliver, ClipRefused, NeedsReview
from bot.inspection import Finding
from bot.job import Action, Job
from bot.store import Store
from generation.clip import Clip
from generation.errors import CannotFit, Told
from generation.models.common.vocabulary import unheard
from generation.models.preset import Preset
from generation.progress import Progress
from generation.request import Kind

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Button:
    label: str
    action: Action


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """What is sent: the clip already sized for this chat, its words and its buttons."""

    job: Job
    clip: Clip
    text: str
    buttons: tuple[Button, ...] = ()
    notice: str = ""  # what admins want said everywhere; `text` ends with it
    spoiler: bool = False  # shown veiled
    nonce: str  # made from the job, at most 25 characters: the same for every try
    aside: str = ""  # what of the prompt the model passed over; `text` says it too


class Frontend(Protocol):
    """A chat platform. One folder or file of bot/frontends/ each."""

    name: str
    deduplicates: bool
    """True if one nonce sent twice shows once, so that a doubtful send may be repeated."""

    async def run(self) -> None:
        """Serve until cancelled."""

    async def say(self, job: Job, text: str, *, progress: Progress | None = None) -> None:
        """Show how the job is, by editing its one status message; the latest wins, none need arrive."""

    async def deliver(self, parcel: Parcel) -> str:
        """Send the clip and return the platform's message id; raises a SendError."""

    async def delivered(self, job: Job) -> None:
        """The send is remembered: tidy up behind it, a status message for example. Must not raise."""


class SendError(Exception):
    """A send that did not end in a message id."""


class Unreachable(SendError):
    """Certainly not sent; it may work later."""


class Rejected(SendError):
    """Certainly not sent, and it never will be: no permission, no chat, blocked."""


class TooLarge(SendError):
    """Certainly not sent: the chat takes at most `limit` bytes, or less than this if that is not known."""

    def __init__(self, limit: int | None = None) -> None:
        super().__init__(limit)
        self.limit = limit


class Doubtful(SendError):
    """Perhaps sent: the answer never came."""


Fit = Callable[[Clip, int], Awaitable[Clip]]
"""The clip within so many bytes, beside the original; raises GenerationError."""

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
        presets: Mapping[str, Preset] = MappingProxyType({}),
        retry_after: Sequence[float] = RETRY_AFTER,
    ) -> None:
        self._store = store
        self._presets = presets
        self._frontends = frontends
        self._fit = fit
        self._inspect = inspect
        self.on_held: Callable[[Job], None] = _nobody_looks
        self._retry_after = retry_after
        self._bell = Bell()
        self._sends: dict[int, tuple[str, asyncio.Task[None]]] = {}
        self._pauses: dict[int, _Pause] = {}
        self._notices: dict[int, _Notices] = {}

    @property
    def looked_at(self) -> float | None:
        """When it last had nothing to do, on the loop's clock; None before that."""
        return self._bell.waited_at

    def ring(self) -> None:
        """There may be something to send."""
        self._bell.ring()

    async def run(self) -> None:
        """Until cancelled. A send that has begun is let finish, so that its answer is not lost."""
        try:
            while True:
                for job in await self._store.undelivered():
                    if self._may_begin(job):
                        self._begin(job)
                await self._bell.wait(IDLE)
        finally:
            await self.settle()

    async def settle(self) -> None:
        """Wait for what is being sent and said just now."""
        await asyncio.gather(*(task for _, task in self._sends.values()), return_exceptions=True)
        await asyncio.gather(*self._saying(), return_exceptions=True)

    def progress(self, job: Job, progress: Progress) -> None:
        self._notify(job, messages.working(job, progress, job.requester.language), progress)

    def ended(self, job: Job) -> None:
        """Tell that a job ended without a clip to show."""
        self._notify(job, messages.ended(job, job.requester.language), None)

    def _saying(self) -> list[asyncio.Task[None]]:
        return [notices.task for notices in self._notices.values()]

    def _notify(self, job: Job, text: str, progress: Progress | None) -> None:
        frontend = self._frontends.get(job.reply_to.platform)
        if frontend is None:
            return
        notices = self._notices.get(job.id)
        if notices is None:
            self._notices[job.id] = _Notices(frontend, job, text, progress, lambda: self._notices.pop(job.id))
        else:
            notices.latest = (job, text, progress)

    def _may_begin(self, job: Job) -> bool:
        """One platform that does not answer must not keep the others waiting."""
        pause = self._pauses.get(job.id)
        if job.reply_to.platform not in self._frontends:
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
        with structlog.contextvars.bound_contextvars(job=job.id):
            try:
                found = await self._inspect(job) if self._inspect else Finding.CLEAR
                if found is Finding.HOLD:
                    await self._set_aside(job)
                elif found is Finding.REFUSE:
                    self.ended(await self._store.delivery_failed(job.id, ClipRefused()))
                else:
                    await self._deliver(job, self._frontends[job.reply_to.platform], found=found)
            except Told as error:
                log.warning("cannot be delivered", exc_info=error)
                self.ended(await self._store.delivery_failed(job.id, error))
            except Exception:  # the edge of a delivery's task: the clip is kept, the others go on
                log.exception("delivery failed unexpectedly")
                self.ended(await self._store.delivery_failed(job.id, CannotDeliver(job.reply_to.platform)))

    async def _set_aside(self, job: Job) -> None:
        held = await self._store.hold_clip(job.id, NeedsReview())
        self.ended(held)
        self.on_held(held)

    async def _deliver(self, job: Job, frontend: Frontend, *, found: Finding) -> None:
        """Try until it is there, smaller if need be; an unreachable chat is left for a later round."""
        limit, shrinks = job.reply_to.limit, 0
        while True:
            parcel = await self._parcel(job, limit, spoiler=found is Finding.SPOILER)
            await self._store.begin_delivery(job.id)
            try:
                message = await frontend.deliver(parcel)
            except TooLarge as refusal:
                await self._store.not_sent(job.id)
                shrinks += 1
                if shrinks > SHRINKS:
                    raise CannotFit(limit, parcel.clip.size) from refusal
                limit = refusal.limit or int(parcel.clip.size * SHRINK)
            except SendError as error:
                await self._not_sent(job, frontend, error)
                return
            else:
                done = await self._store.delivered(job.id, message)
                self._pauses.pop(job.id, None)
                log.info("delivered", message=message, bytes=parcel.clip.size)
                await frontend.delivered(done)
                return

    async def _not_sent(self, job: Job, frontend: Frontend, error: SendError) -> None:
        log.warning("not sent", kind=type(error).__name__, reason=str(error))
        if isinstance(error, Rejected):
            self.ended(await self._store.delivery_failed(job.id, CannotDeliver(frontend.name)))
        elif isinstance(error, Doubtful) and not frontend.deduplicates:
            self.ended(await self._store.doubtful(job.id))
        else:
            await self._store.not_sent(job.id)
            tries = self._pauses[job.id].tries + 1 if job.id in self._pauses else 0
            pause = self._retry_after[min(tries, len(self._retry_after) - 1)]
            self._pauses[job.id] = _Pause(tries, asyncio.get_running_loop().time() + pause)

    async def _parcel(self, job: Job, limit: int, *, spoiler: bool) -> Parcel:
        assert job.clip is not None, f"job {job.id} is rendered, so it has a clip"
        clip = await self._fit(job.clip, limit) if limit and job.clip.size > limit else job.clip
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


class _Notices:
    """One job's status line: while one text is on its way only the latest of the others is kept."""

    def __init__(
        self, frontend: Frontend, job: Job, text: str, progress: Progress | None, done: Callable[[], object]
    ) -> None:
        self.latest: tuple[Job, str, Progress | None] | None = (job, text, progress)
        self._frontend = frontend
        self._done = done
        self.task = asyncio.create_task(self._say())

    async def _say(self) -> None:
        try:
            while self.latest is not None:
                (job, text, progress), self.latest = self.latest, None
                try:
                    await self._frontend.say(job, text, progress=progress)
                except SendError as error:
                    log.debug("status not shown", job=job.id, reason=str(error))
        finally:
            self._done()  # at once, with no gap in which a last word could be left with nobody to say it
