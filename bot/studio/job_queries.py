"""Reading jobs: one job, its queue position and its expected time, the queue, a user's history.

Every method that a user's command reaches takes a Viewer and returns what that viewer may see.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bot.domain.jobs import Job, JobState
from bot.store.store import Eta, Store
from bot.studio.access import AccessControl, Right, Viewer
from generation.progress import PREVIEW_FILE

MAX_SEARCHED = 1000
"""How many waiting jobs are searched for those that a viewer may see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingJobs:
    """The running and waiting jobs that a viewer may see, and how many others there are."""

    jobs: tuple[Job, ...] = ()
    others: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStatus:
    """What a frontend needs for its own status messages: the length of the queue and its own jobs in it."""

    length: int = 0
    queued: tuple[tuple[int, Job], ...] = ()  # the position of each queued job, and the job


class JobQueries:
    def __init__(self, store: Store, *, access: AccessControl, engine_slots: int, clips: Path) -> None:
        self._store = store
        self._access = access
        self._engine_slots = engine_slots
        self._clips = clips

    async def job(self, job_id: int, viewer: Viewer) -> Job:
        """A job as this viewer may see it: without its prompt if that is hidden. Raises NoSuchJob."""
        return await self._access.view(await self._access.require(Right.SEE, job_id, viewer), viewer)

    async def recipe(self, job_id: int, viewer: Viewer) -> Job:
        """A job with its prompt; raises NoSuchJob, or NotYourJob if the prompt is hidden."""
        return await self._access.view(await self._access.require(Right.READ, job_id, viewer), viewer)

    async def queue_position(self, job_id: int, viewer: Viewer) -> int | None:
        """How many waiting jobs go first; None if the job does not wait. Raises NoSuchJob."""
        await self._access.require(Right.SEE, job_id, viewer)
        return await self._store.queue_position(job_id)

    async def eta(self, job_id: int, viewer: Viewer) -> Eta | None:
        """When the job is likely to be done, as a range of seconds from now; None if nothing is known.

        Raises NoSuchJob.
        """
        await self._access.require(Right.SEE, job_id, viewer)
        return await self._store.eta(job_id, slots=self._engine_slots)

    async def preview_file(self, job_id: int, viewer: Viewer) -> Path | None:
        """The preview picture of a running job, for its status message; None if there is none.

        Raises NoSuchJob, or NotYourJob for all but its owner and operators.
        """
        job = await self._access.require(Right.CHANGE, job_id, viewer)
        path = self._clips / str(job.id) / PREVIEW_FILE
        return path if path.is_file() else None

    async def waiting(self, viewer: Viewer, limit: int = 25) -> WaitingJobs:
        """The running jobs, then the waiting ones in the order of the queue, as this viewer may see them."""
        jobs = await self._store.waiting(MAX_SEARCHED)
        visible = await self._access.visible(jobs, viewer)
        return WaitingJobs(jobs=tuple(visible[:limit]), others=len(jobs) - len(visible))

    async def queue_status(self, platform: str, limit: int = 100) -> QueueStatus:
        """For a frontend itself, not for a user: its own queued jobs, with all that an edit needs."""
        jobs = await self._store.waiting(limit)
        queued = enumerate(job for job in jobs if job.state is JobState.QUEUED)
        own = tuple((position, job) for position, job in queued if job.reply_to.platform == platform)
        return QueueStatus(length=len(jobs), queued=own)

    async def history(self, viewer: Viewer, limit: int = 10) -> list[Job]:
        """The latest jobs of the viewer and of the users linked to them, newest first."""
        return await self._access.visible(await self._store.history(viewer.requester.key, limit), viewer)

    async def shareable_history(self, viewer: Viewer, limit: int = 10) -> list[Job]:
        """The same without the jobs whose clip was sent as a spoiler."""
        jobs = await self.history(viewer, limit)
        spoilered = await self._store.spoilered([job.id for job in jobs])
        return [job for job in jobs if job.id not in spoilered]
