"""Changing a queued or finished job: cancel it, send it again, and notice what another process ended."""

from __future__ import annotations

import asyncio

import structlog

from bot.domain.errors import TooLate
from bot.domain.events import EventBus, JobCancelRequested, JobEnded, JobReadyToSend
from bot.domain.jobs import Job, JobState, Requester
from bot.store.store import Store, Superseded
from bot.studio.access import AccessControl
from generation.errors import ExplainedError

log = structlog.get_logger(__name__)

OUTSIDE_CANCEL_POLL = 2.0
"""Seconds between two looks for jobs that a terminal beside the running bot ended."""


class JobControl:
    def __init__(self, *, store: Store, access: AccessControl, events: EventBus) -> None:
        self._store = store
        self._access = access
        self._events = events

    async def cancel(self, job_id: int, requester: Requester) -> Job:
        """Raises NoSuchJob, NotYourJob or TooLate. Refunded unless its frames were generated already."""
        job = await self._access.require_own_job(job_id, requester)
        if job.state is JobState.HELD and job.clip is not None:
            raise TooLate(job_id, job.state.value)  # the clip exists, and an admin decides about it
        job = await self._store.cancel(job_id)
        self._events.publish(JobCancelRequested(job_id))
        self._events.publish(JobEnded(job))
        log.info("cancelled", job=job_id, by=requester.key)
        return job

    async def send_again(self, job_id: int, requester: Requester) -> Job:
        """Send the clip of an uncertain delivery once more; raises NoSuchJob, NotYourJob or TooLate."""
        await self._access.require_own_job(job_id, requester)
        try:
            job = await self._store.send_again(job_id)
        except Superseded as error:
            raise TooLate(job_id, (await self._store.job(job_id)).state.value) from error
        self._events.publish(JobReadyToSend(job))
        return job

    async def save_status_message(self, job_id: int, message: str) -> None:
        """Save the platform's id of the status message of this job."""
        await self._store.save_status_message(job_id, message)

    async def watch_outside_cancels(self) -> None:
        """Publish, until cancelled, the events of jobs that a terminal beside the running bot ended."""
        while True:
            try:
                if await self._store.has_outside_cancels():
                    for job_id, status_owed in (await self._store.take_outside_cancels()).items():
                        self._events.publish(JobCancelRequested(job_id))
                        if status_owed:
                            self._events.publish(JobEnded(await self._store.job(job_id)))
            except ExplainedError as error:  # a full disk is no reason to stop serving
                log.warning("jobs ended by another process were not read", reason=str(error))
            await asyncio.sleep(OUTSIDE_CANCEL_POLL)
