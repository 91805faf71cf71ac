"""Word of how jobs are doing: the latest wins, and the last is said sooner or later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import structlog

from bot.domain.frontend import Frontend, SendError, Unreachable, reachable
from bot.domain.jobs import FINAL, Job
from bot.i18n import messages
from bot.pipeline.retry import ill, insist
from bot.pipeline.wake_up import Bell
from bot.store import status_outbox
from bot.store.store import Store
from generation.failpoint import Place, here
from generation.progress import Progress

log = structlog.get_logger(__name__)

OWED_EVERY = 60.0
"""Seconds between looks for last words that could not be said when they were due."""


class Words:
    """Every job's status line."""

    def __init__(self, store: Store, frontends: Mapping[str, Frontend]) -> None:
        self._store = store
        self._frontends = frontends
        self._lines: dict[int, _Line] = {}
        self._look_at = 0.0

    def say(self, job: Job, text: str, progress: Progress | None) -> None:
        frontend = self._frontends.get(job.reply_to.platform)
        if frontend is None:
            return
        line = self._lines.get(job.id)
        if line is None:
            line = self._lines[job.id] = _Line(frontend, self._store, lambda: self._lines.pop(job.id))
            line.begin(job, text, progress)
        else:
            line.next(job, text, progress)

    def ended(self, job: Job) -> None:
        self.say(job, messages.ended(job, job.requester.language), None)

    def look_again(self) -> None:
        """A chat can be reached that could not."""
        self._look_at = 0.0

    async def say_what_is_owed(self) -> None:
        """Ends that nobody was told of, because we or the chat were gone just then."""
        now = asyncio.get_running_loop().time()
        if now < self._look_at:
            return
        self._look_at = now + OWED_EVERY
        for job in await insist(lambda: self._store.look(lambda c, _: status_outbox.owed(c))):
            frontend = self._frontends.get(job.reply_to.platform)
            if job.id not in self._lines and frontend is not None and reachable(frontend):
                self.ended(job)

    async def settle(self) -> None:
        """Wait for what is being said just now, and for no chat's rest after it."""
        for line in self._lines.values():
            line.hurry()
        if self._lines:
            await asyncio.wait([line.task for line in self._lines.values()])


class _Line:
    """One job's: while a text is on its way or has just been said, only the latest of the others is kept."""

    task: asyncio.Task[None]

    def __init__(self, frontend: Frontend, store: Store, done: Callable[[], object]) -> None:
        self.latest: tuple[Job, str, Progress | None] | None = None
        self._frontend = frontend
        self._store = store
        self._done = done
        self._rest_is_over = Bell()

    def begin(self, job: Job, text: str, progress: Progress | None) -> None:
        self.latest = (job, text, progress)
        self.task = asyncio.create_task(self._say())

    def next(self, job: Job, text: str, progress: Progress | None) -> None:
        self.latest = (job, text, progress)
        if progress is None:
            self._rest_is_over.ring()

    def hurry(self) -> None:
        """Only an end is still to be said."""
        if self.latest is not None and self.latest[2] is not None:
            self.latest = None
        self._rest_is_over.ring()

    async def _say(self) -> None:
        last = None
        try:
            while self.latest is not None:
                (job, text, progress), self.latest = self.latest, None
                if last == text:  # two who saw the same end; its person hears of it once
                    continue
                if await self._said(job, text, progress) and progress is None and job.state in FINAL:
                    await self._tick_off(job.id)
                    last = text
        except Exception:  # the edge of a notice's task: a last word is still owed, and said later
            log.exception("status not shown")
        finally:
            self._done()  # at once, with no gap in which a last word could be left with nobody to say it

    async def _said(self, job: Job, text: str, progress: Progress | None) -> bool:
        """Whether it need not be said again."""
        try:
            if progress is None:
                here(Place.TELL, lambda: Unreachable("scripted"))
            if rest := await self._frontend.say(job, text, progress=progress):
                await self._rest_is_over.wait(rest)
        except SendError as error:
            log.debug("status not shown", job=job.id, reason=str(error))
            return not isinstance(error, Unreachable)
        return True

    async def _tick_off(self, job: int) -> None:
        async def write() -> None:
            here(Place.TOLD, ill)
            await self._store.act(lambda c, _: status_outbox.said(c, job))

        await insist(write)
