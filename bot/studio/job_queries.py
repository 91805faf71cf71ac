"""Reading jobs: one job, its queue position and its expected time, the queue, a user's history."""

from __future__ import annotations

from collections.abc import Iterable

from bot.domain.jobs import Job, Requester
from bot.store.store import Eta, Store


class JobQueries:
    def __init__(self, store: Store, *, engine_slots: int) -> None:
        self._store = store
        self._engine_slots = engine_slots

    async def job(self, job_id: int) -> Job:
        """Raises NoSuchJob."""
        return await self._store.job(job_id)

    async def queue_position(self, job_id: int) -> int | None:
        """How many waiting jobs go first; None if the job does not wait."""
        return await self._store.queue_position(job_id)

    async def eta(self, job_id: int) -> Eta | None:
        """When the job is likely to be done, as a range of seconds from now; None if nothing is known."""
        return await self._store.eta(job_id, slots=self._engine_slots)

    async def waiting(self, limit: int = 25) -> list[Job]:
        """The running jobs, then the waiting ones in the order of the queue."""
        return await self._store.waiting(limit)

    async def history(self, requester: Requester, limit: int = 10) -> list[Job]:
        """The user's latest jobs, newest first."""
        return await self._store.history(requester.key, limit)

    async def spoilered(self, jobs: Iterable[Job]) -> frozenset[int]:
        """The numbers of those jobs whose clip was sent as a spoiler."""
        return await self._store.spoilered([job.id for job in jobs])
