"""Status messages: only the latest progress is shown; a final status is repeated until the chat has it."""

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
"""Seconds between two looks for final statuses that were not shown yet."""


class StatusUpdates:
    """The status messages of all jobs."""

    def __init__(self, store: Store, frontends: Mapping[str, Frontend]) -> None:
        self._store = store
        self._frontends = frontends
        self._job_statuses: dict[int, _JobStatus] = {}
        self._next_outbox_check = 0.0

    def show(self, job: Job, text: str, progress: Progress | None, *, only_if_pending: bool = False) -> None:
        frontend = self._frontends.get(job.reply_to.platform)
        if frontend is None:
            return
        job_status = self._job_statuses.get(job.id)
        if job_status is None:
            job_status = self._job_statuses[job.id] = _JobStatus(
                frontend, self._store, lambda: self._job_statuses.pop(job.id)
            )
            job_status.start(job, text, progress, only_if_pending=only_if_pending)
        else:
            job_status.replace(job, text, progress)

    def show_final(self, job: Job, *, perhaps_shown: bool = False) -> None:
        """`perhaps_shown`: show it only if it still waits in the outbox when its turn comes."""
        text = messages.final_status(job, job.requester.language)
        self.show(job, text, None, only_if_pending=perhaps_shown)

    def check_outbox_now(self) -> None:
        """A chat became reachable: check for final statuses at the next opportunity."""
        self._next_outbox_check = 0.0

    async def send_outbox(self) -> None:
        """Show the final statuses that are still pending, because the bot or the chat was not reachable."""
        now = asyncio.get_running_loop().time()
        if now < self._next_outbox_check:
            return
        self._next_outbox_check = now + OUTBOX_POLL_INTERVAL
        for job in await retry_while_disk_refuses(self._store.jobs_without_final_status):
            frontend = self._frontends.get(job.reply_to.platform)
            if job.id not in self._job_statuses and frontend is not None and is_reachable(frontend):
                self.show_final(job, perhaps_shown=True)

    async def wait_for_sends(self) -> None:
        """Wait for the messages that are being sent, without the pauses between updates."""
        for job_status in self._job_statuses.values():
            job_status.skip_to_final()
        if self._job_statuses:
            await asyncio.wait([status.task for status in self._job_statuses.values()])


class _JobStatus:
    """The status message of one job: during a send and the pause after it, only the latest text is kept."""

    task: asyncio.Task[None]

    def __init__(self, frontend: Frontend, store: Store, on_done: Callable[[], object]) -> None:
        self.latest: tuple[Job, str, Progress | None] | None = None
        self._frontend = frontend
        self._store = store
        self._on_done = on_done
        self._pause_over = WakeUp()

    def start(self, job: Job, text: str, progress: Progress | None, *, only_if_pending: bool = False) -> None:
        self.latest = (job, text, progress)
        self.task = asyncio.create_task(self._run(only_if_pending=only_if_pending))

    def replace(self, job: Job, text: str, progress: Progress | None) -> None:
        self.latest = (job, text, progress)
        if progress is None:
            self._pause_over.set()

    def skip_to_final(self) -> None:
        """Drop a pending progress text, but not a final status."""
        if self.latest is not None and self.latest[2] is not None:
            self.latest = None
        self._pause_over.set()

    async def _run(self, *, only_if_pending: bool) -> None:
        last_final_text = None
        try:
            if only_if_pending and self.latest is not None:
                job, text, _ = self.latest
                if not await self._store.final_status_is_pending(job.id):
                    last_final_text = text
            while self.latest is not None:
                (job, text, progress), self.latest = self.latest, None
                if last_final_text == text:  # the same end was reported twice; show it once
                    continue
                if await self._show(job, text, progress) and progress is None and job.state in FINAL_STATES:
                    await self._remove_from_outbox(job.id)
                    last_final_text = text
        except Exception:  # one status must not stop the others; a final status is repeated later
            log.exception("status not shown")
        finally:
            self._on_done()  # without an await before it, so that no new text is lost

    async def _show(self, job: Job, text: str, progress: Progress | None) -> bool:
        """Return whether the text needs no other try."""
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
