"""Claim, render, settle: as many at a time as the engine has slots."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import structlog

from bot.domain.jobs import Job, State
from bot.pipeline.retry import REFUSED, ill, insist, settled
from bot.pipeline.wake_up import Bell
from bot.store.store import Store, Superseded
from generation.clip import Clip
from generation.engines.engine import Engine, Order
from generation.errors import EngineDied, EngineStuck, GenerationError, ModelMissing, Told
from generation.failpoint import Place, here
from generation.models.common.preset import Preset
from generation.progress import Progress
from generation.request import Kind

log = structlog.get_logger(__name__)

LEASE = 60.0
IDLE = 5.0
"""Seconds between looks at the queue when nobody rings: leases of a dead worker run out unannounced."""
DEATHS = 2
"""A job that the engine died of so often is set aside; those that only stood by never are."""


class Courier(Protocol):
    """Who tells the chats, and brings them what is made."""

    def progress(self, job: Job, progress: Progress) -> None: ...
    def ended(self, job: Job) -> None: ...
    def ring(self) -> None: ...


class Worker:
    def __init__(
        self,
        *,
        store: Store,
        engine: Engine,
        presets: Mapping[str, Preset],
        clips: Path,
        delivery: Courier,
        affinity: int = 0,
    ) -> None:
        self._store = store
        self._engine = engine
        self._presets = presets
        self._clips = clips
        self._delivery = delivery
        self.only: int | None = None
        """Nothing but this job is claimed: a terminal makes its own clip, not the chats' ones."""
        self.drained = asyncio.Event()
        self.idle = IDLE
        self._bell = Bell()
        self._renders: dict[int, asyncio.Task[None]] = {}
        self._draining = False
        self._affinity = affinity
        self._loaded: str | None = None
        """The model that painted last: its next job may go before a few older ones of others."""

    @property
    def looked_at(self) -> float | None:
        """When it last had nothing to do, on the loop's clock; None before that."""
        return self._bell.waited_at

    def ring(self) -> None:
        """There may be work."""
        self._bell.ring()

    def stop(self, job_id: int) -> None:
        """Nobody wants this one any more."""
        if task := self._renders.get(job_id):
            task.cancel()

    def drain(self) -> None:
        """Claim nothing more; `run` returns when what is being made is made."""
        self._draining = True
        self.ring()

    async def run(self) -> None:
        """Until drained. When cancelled, what is being made goes back to the queue, unblamed."""
        try:
            while not self._draining:
                while len(self._renders) < self._engine.slots and not self._draining:
                    job = await insist(self._claim)
                    if job is None:
                        break
                    await self._begin(job)
                await self._bell.wait(self.idle)
                await insist(self._store.free_expired)
            await asyncio.gather(*self._renders.values(), return_exceptions=True)
            self.drained.set()
        finally:
            for task in self._renders.values():
                task.cancel()
            await asyncio.gather(*self._renders.values(), return_exceptions=True)

    async def _claim(self) -> Job | None:
        prefer = self._loaded if self._affinity else None
        return await self._store.claim(
            lease=LEASE, this=self.only, prefer_model=prefer, passing=self._affinity
        )

    async def _begin(self, job: Job) -> None:
        """A job whose lease ran out under us may come back to us: its old render ends first."""
        if job.request.kind is not Kind.SCORE:  # new music needs no picture model
            self._loaded = job.request.model
        if stale := self._renders.get(job.id):
            stale.cancel()
            await asyncio.wait({stale})
        task = asyncio.create_task(self._one(job), name=f"job {job.id}")
        self._renders[job.id] = task
        task.add_done_callback(lambda _: self._finished(job.id))

    def _finished(self, job_id: int) -> None:
        del self._renders[job_id]
        self.ring()

    async def _one(self, job: Job) -> None:
        with structlog.contextvars.bound_contextvars(job=job.id, epoch=job.epoch):
            renewing = asyncio.create_task(self._renew(job, asyncio.current_task()))
            try:
                await self._render(job)
            except Superseded:
                log.warning("lease lost", job=job.id)
            except REFUSED:  # for minutes on end: its lease runs out, and it is made again
                log.exception("not written down")
            except asyncio.CancelledError:
                await self._give_back(job)
                raise
            finally:
                renewing.cancel()

    async def _render(self, job: Job) -> None:
        log.info("rendering", model=job.request.model, attempt=job.attempt)
        try:
            here(Place.CLAIMED)
            clip = await self._engine.render(self._order(job), lambda progress: self._progress(job, progress))
        except (EngineDied, EngineStuck) as error:
            await self._engine_failed(job, error)
        except Told as error:
            log.warning("failed", exc_info=error)
            await self._failed(job, error)
        except Exception:  # the edge of a job's task: one job's surprise must not end the worker
            log.exception("failed unexpectedly")
            await self._failed(job, GenerationError())
        else:
            await self._rendered(job, clip)

    async def _rendered(self, job: Job, clip: Clip) -> None:
        async def write() -> None:
            here(Place.MADE, ill)
            await self._store.rendered(job.id, job.epoch, clip)
            here(Place.RENDERED, ill)

        try:
            await insist(write)
        except Superseded as gone:  # its first try was written down, though the answer was a refusal
            if gone.state not in {State.RENDERED, State.DELIVERING, State.DELIVERED}:
                raise
        log.info("rendered", seconds=clip.seconds, bytes=clip.size)
        self._delivery.ring()

    def _order(self, job: Job) -> Order:
        preset = self._presets.get(job.request.model)
        if preset is None:  # the operator took it away while the job waited
            raise ModelMissing(job.request.model)
        folder = self._clips / str(job.id)
        return Order(label=f"{job.id}.{job.epoch}", request=job.request, preset=preset, folder=folder)

    def _progress(self, job: Job, progress: Progress) -> None:
        self._delivery.progress(job, progress)

    async def _engine_failed(self, job: Job, error: EngineDied | EngineStuck) -> None:
        guilty = not isinstance(error, EngineDied) or error.guilty
        log.warning("engine failed", guilty=guilty, attempt=job.attempt, reason=str(error))
        if guilty and job.attempt + 1 >= DEATHS:
            await self._failed(job, error)
        else:
            verb = self._store.requeue
            await settled(self._store, job.id, lambda: verb(job.id, job.epoch, guilty=guilty), State.QUEUED)

    async def _failed(self, job: Job, error: Told) -> None:
        async def write() -> Job:
            here(Place.FAIL, ill)
            done = await self._store.failed(job.id, job.epoch, error)
            here(Place.FAILED, ill)
            return done

        done = await settled(self._store, job.id, write, State.FAILED)
        if done is not None:
            self._delivery.ended(done)

    async def _give_back(self, job: Job) -> None:
        """At our own end it waits again; cancelled by its person, it is superseded and does not."""
        try:
            await self._store.requeue(job.id, job.epoch, guilty=False)
        except Superseded:
            return
        except REFUSED:  # the next start gives it back
            log.exception("not given back")

    async def _renew(self, job: Job, render: asyncio.Task[None] | None) -> None:
        while True:
            await asyncio.sleep(LEASE / 3)
            try:
                ours = await self._store.renew(job.id, job.epoch, lease=LEASE)
            except REFUSED as error:  # there are two more tries before the lease runs out
                log.error("lease not renewed", reason=str(error))  # noqa: TRY400  (the store has said why)
                continue
            if not ours and render is not None:
                render.cancel()
                return
