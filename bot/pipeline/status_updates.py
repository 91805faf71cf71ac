"""Word of how jobs are doing: the latest wins, and the last is said sooner or later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import structlog

from bot.domain.frontend import Frontend, SendError, Unreachable, is_reachable
from bot.domain.jobs import FINAL_STATES, Job
from bot.i18n import messages
from bot.pipeline.retry import retry_while_disk_refuses, simulated_store_failure
from bot.pipeline.wake_up import WakeUp
from bot.store.store import Store
from generation.failpoint import FailPoint, pass_failpoint
from generation.progress import Progress

log = structlog.get_logger(__name__)

OUTBOX_POLL_INTERVAL = 60.0
"""Seconds between looks for last words that could not be said when they were due."""


class StatusUpdates:
    """Every job's status line."""

    def __init__(self, store: Store, frontends: Mapping[str, Frontend]) -> None:
        self._store = store
        self._frontends = frontends
        self._job_statuses: dict[int, _JobStatus] = {}
        self._next_outbox_check = 0.0

    def show(self, job: Job, text: str, progress: Progress | None) -> None:
        frontend = self._frontends.get(job.reply_to.platform)
        if frontend is None:
            return
        job_status = self._job_statuses.get(job.id)
        if job_status is None:
            job_status = self._job_statuses[job.id] = _JobStatus(
                frontend, self._store, lambda: self._job_statuses.pop(job.id)
            )
            job_status.start(job, text, progress)
        else:
            job_status.replace(job, text, progress)

    def show_final(self, job: Job) -> None:
        self.show(job, messages.final_status(job, job.requester.language), None)

    def check_outbox_now(self) -> None:
        """A chat can be reached that could not."""
        self._next_outbox_check = 0.0

    async def send_outbox(self) -> None:
        """Ends that nobody was told of, because we or the chat were gone just then."""
        now = asyncio.get_running_loop().time()
        if now < self._next_outbox_check:
            return
        self._next_outbox_check = now + OUTBOX_POLL_INTERVAL
        for job in await retry_while_disk_refuses(self._store.jobs_without_final_status):
            frontend = self._frontends.get(job.reply_to.platform)
            if job.id not in self._job_statuses and frontend is not None and is_reachable(frontend):
                self.show_final(job)

    async def wait_for_sends(self) -> None:
        """Wait for what is being said just now, and for no chat's rest after it."""
        for job_status in self._job_statuses.values():
            job_status.skip_to_final()
        if self._job_statuses:
            await asyncio.wait([line.task for line in self._job_statuses.values()])


class _JobStatus:
    """One job's: while a text is on its way or has just been said, only the latest of the others is kept."""

    task: asyncio.Task[None]

    def __init__(self, frontend: Frontend, store: Store, on_done: Callable[[], object]) -> None:
        self.latest: tuple[Job, str, Progress | None] | None = None
        self._frontend = frontend
        self._store = store
        self._on_done = on_done
        self._pause_over = WakeUp()

    def start(self, job: Job, text: str, progress: Progress | None) -> None:
        self.latest = (job, text, progress)
        self.task = asyncio.create_task(self._run())

    def replace(self, job: Job, text: str, progress: Progress | None) -> None:
        self.latest = (job, text, progress)
        if progress is None:
            self._pause_over.set()

    def skip_to_final(self) -> None:
        """Only an end is still to be said."""
        if self.latest is not None and self.latest[2] is not None:
            self.latest = None
        self._pause_over.set()

    async def _run(self) -> None:
        last_final_text = None
        try:
            while self.latest is not None:
                (job, text, progress), self.latest = self.latest, None
                if last_final_text == text:  # two who saw the same end; its person hears of it once
                    continue
                if await self._show(job, text, progress) and progress is None and job.state in FINAL_STATES:
                    await self._remove_from_outbox(job.id)
                    last_final_text = text
        except Exception:  # the edge of a notice's task: a last word is still owed, and said later
            log.exception("status not shown")
        finally:
            self._on_done()  # at once, with no gap in which a last word could be left with nobody to say it

    async def _show(self, job: Job, text: str, progress: Progress | None) -> bool:
        """Whether it need not be said again."""
        try:
            if progress is None:
                pass_failpoint(FailPoint.SEND_STATUS, lambda: Unreachable("scripted"))
            if pause := await self._frontend.show_status(job, text, progress=progress):
                await self._pause_over.wait(pause)
        except SendError as error:
            log.debug("status not shown", job=job.id, reason=str(error))
            return not isinstance(error, Unreachable)
        return True

    async def _remove_from_outbox(self, job: int) -> None:
        async def write() -> None:
            pass_failpoint(FailPoint.STATUS_SENT, simulated_store_failure)
            await self._store.mark_final_status_shown(job)

        await retry_while_disk_refuses(write)
