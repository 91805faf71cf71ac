"""Changing a queued or finished job: cancel it, send it again, and notice what another process ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from bot.domain.errors import NoSuchJob, TooLate
from bot.domain.events import EventBus, JobCancelRequested, JobEnded, JobReadyToSend
from bot.domain.jobs import Job, JobState
from bot.store.store import Store, Superseded
from bot.studio.access import AccessControl, Right, Viewer
from generation.errors import ExplainedError

log = structlog.get_logger(__name__)

OUTSIDE_CANCEL_POLL = 2.0
"""Seconds between two looks for jobs that a terminal beside the running bot ended."""


class JobControl:
    def __init__(self, *, store: Store, access: AccessControl, events: EventBus) -> None:
        self._store = store
        self._access = access
        self._events = events

    async def cancel(self, job_id: int, viewer: Viewer) -> Job:
        """Raises NoSuchJob, NotYourJob or TooLate. Refunded unless its frames were generated already."""
        job = await self._access.require(Right.CHANGE, job_id, viewer)
        if job.state is JobState.HELD and job.clip is not None:
            raise TooLate(job_id, job.state.value)  # the clip exists, and an admin decides about it
        job = await self._store.cancel(job_id)
        self._events.publish(JobCancelRequested(job_id))
        self._events.publish(JobEnded(job))
        log.info("cancelled", job=job_id, by=viewer.requester.key)
        return await self._access.view(job, viewer)

    async def send_again(self, job_id: int, viewer: Viewer) -> Job:
        """Send the clip of an uncertain delivery once more; raises NoSuchJob, NotYourJob or TooLate."""
        await self._access.require(Right.CHANGE, job_id, viewer)
        try:
            job = await self._store.send_again(job_id)
        except Superseded as error:
            raise TooLate(job_id, (await self._store.job(job_id)).state.value) from error
        self._events.publish(JobReadyToSend(job))
        return await self._access.view(job, viewer)

    async def allow_deletion(self, job_id: int, viewer: Viewer, shows: Callable[[Job], bool]) -> None:
        """Check that the viewer may delete the message below which they pressed "Delete".

        `shows` is the frontend's proof that this message shows the job: a forged press names a job of its
        sender on a message of another user. Raises NoSuchJob or NotYourJob.
        """
        job = await self._access.require(Right.DELETE_MESSAGE, job_id, viewer)
        if not shows(job):
            raise NoSuchJob(job_id)

    async def save_status_message(self, job_id: int, message: str, viewer: Viewer) -> Job:
        """Save the platform's id of the status message of this job; raises NoSuchJob or NotYourJob."""
        await self._access.require(Right.CHANGE, job_id, viewer)
        await self._store.save_status_message(job_id, message)
        return await self._access.view(await self._store.job(job_id), viewer)

    async def watch_outside_cancels(self) -> None:
        """Publish, until cancelled, the events of jobs that a terminal beside the running bot ended."""
        while True:
            try:
                if await self._store.has_outside_cancels():
                    for job_id, status_owed in (await self._store.take_outside_cancels()).items():
                        self._events.publish(JobCancelRequested(job_id))
                        if status_owed:
                            job = await self._store.job(job_id)
                            self._events.publish(JobEnded(job, perhaps_shown=True))
            except ExplainedError as error:  # a full disk is no reason to stop serving
                log.warning("jobs ended by another process were not read", reason=str(error))
            await asyncio.sleep(OUTSIDE_CANCEL_POLL)
