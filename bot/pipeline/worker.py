"""The worker: claims jobs, renders them and records the outcome, as many at once as the engine has slots."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import structlog

from bot.domain.events import (
    EventBus,
    JobCancelRequested,
    JobEnded,
    JobProgressed,
    JobQueued,
    JobRendered,
    QueueChanged,
)
from bot.domain.jobs import Job, JobState
from bot.pipeline.retry import (
    DISK_REFUSALS,
    retry_while_disk_refuses,
    simulated_store_failure,
    write_or_superseded,
)
from bot.pipeline.wake_up import WakeUp
from bot.store.store import Store, Superseded
from generation.clip import Clip
from generation.engines.engine import Engine
from generation.errors import EngineDied, EngineStuck, ExplainedError, GenerationError, ModelMissing
from generation.failpoint import FailPoint, pass_failpoint
from generation.models.common.preset import Preset
from generation.order import Order
from generation.progress import Progress, Stage
from generation.request import Kind

log = structlog.get_logger(__name__)

LEASE_SECONDS = 60.0
POLL_INTERVAL = 5.0
"""Seconds between two looks at the queue without a signal: the lease of a dead worker expires silently."""
MAX_ENGINE_DEATHS = 2
"""A job that killed the engine so often has failed. Deaths that it did not cause do not count."""


class Worker:
    def __init__(
        self,
        *,
        store: Store,
        engine: Engine,
        presets: Mapping[str, Preset],
        clips: Path,
        events: EventBus,
        affinity: int = 0,
    ) -> None:
        self._store = store
        self._engine = engine
        self._presets = presets
        self._clips = clips
        self._events = events
        self.only_job: int | None = None
        """If set, only this job is claimed: a terminal renders its own clip, not those of the chats."""
        self.drained = asyncio.Event()
        self.poll_interval = POLL_INTERVAL
        self._wake_up = WakeUp()
        self._renders: dict[int, asyncio.Task[None]] = {}
        self._draining = False
        self._affinity = affinity
        self._loaded_model: str | None = None
        """The model of the latest render; its next job may overtake a few older jobs of other models."""
        events.subscribe(JobQueued, lambda _: self.wake())
        events.subscribe(QueueChanged, lambda _: self.wake())
        events.subscribe(JobCancelRequested, lambda event: self.stop_job(event.job_id))

    @property
    def last_idle_at(self) -> float | None:
        """When `run` last waited for work, on the clock of the event loop; None before that."""
        return self._wake_up.last_wait_at

    def wake(self) -> None:
        """Look for work."""
        self._wake_up.set()

    def stop_job(self, job_id: int) -> None:
        """Cancel the render of this job, if there is one."""
        if task := self._renders.get(job_id):
            task.cancel()

    def drain(self) -> None:
        """Claim no more jobs; `run` returns when the current renders end."""
        self._draining = True
        self.wake()

    async def run(self) -> None:
        """Render until drained. On cancellation, running jobs are requeued without a counted attempt."""
        try:
            while not self._draining:
                while len(self._renders) < self._engine.slots and not self._draining:
                    job = await retry_while_disk_refuses(self._claim)
                    if job is None:
                        break
                    await self._start(job)
                await self._wake_up.wait(self.poll_interval)
                await retry_while_disk_refuses(self._store.requeue_expired)
            await asyncio.gather(*self._renders.values(), return_exceptions=True)
            self.drained.set()
        finally:
            for task in self._renders.values():
                task.cancel()
            await asyncio.gather(*self._renders.values(), return_exceptions=True)

    async def _claim(self) -> Job | None:
        prefer = self._loaded_model if self._affinity else None
        return await self._store.claim(
            lease=LEASE_SECONDS, only_job=self.only_job, prefer_model=prefer, max_passes=self._affinity
        )

    async def _start(self, job: Job) -> None:
        """Start a render, after an older render of the same job under an expired lease has ended."""
        if job.request.kind is not Kind.MUSIC:  # new music needs no picture model
            self._loaded_model = job.request.model
        if stale := self._renders.get(job.id):
            stale.cancel()
            await asyncio.wait({stale})
        task = asyncio.create_task(self._run_job(job), name=f"job {job.id}")
        self._renders[job.id] = task
        task.add_done_callback(lambda _: self._finished(job.id))

    def _finished(self, job_id: int) -> None:
        del self._renders[job_id]
        self.wake()

    async def _run_job(self, job: Job) -> None:
        with structlog.contextvars.bound_contextvars(job=job.id, epoch=job.epoch):
            lease_renewal = asyncio.create_task(self._renew_lease(job, asyncio.current_task()))
            try:
                await self._render(job)
            except Superseded:
                log.warning("lease lost", job=job.id)
            except DISK_REFUSALS:  # the lease expires, and the job is rendered again
                log.exception("the outcome was not recorded")
            except asyncio.CancelledError:
                await self._requeue(job)
                raise
            finally:
                lease_renewal.cancel()

    async def _render(self, job: Job) -> None:
        log.info("rendering", model=job.request.model, attempt=job.attempt)
        progress = _ProgressObserver(job, self._store, self._events)
        try:
            pass_failpoint(FailPoint.CLAIMED)
            clip = await self._engine.render(self._build_order(job), progress.on_progress)
        except (EngineDied, EngineStuck) as error:
            await self._handle_engine_failure(job, error)
        except ExplainedError as error:
            log.warning("failed", exc_info=error)
            await self._record_failure(job, error)
        except Exception:  # an error in one job must not end the worker
            log.exception("failed unexpectedly")
            await self._record_failure(job, GenerationError())
        else:
            await self._record_rendered(job, clip)
        finally:
            progress.close()

    async def _record_rendered(self, job: Job, clip: Clip) -> None:
        async def write() -> None:
            pass_failpoint(FailPoint.RECEIVED, simulated_store_failure)
            await self._store.mark_rendered(job.id, job.epoch, clip)
            pass_failpoint(FailPoint.RENDER_RECORDED, simulated_store_failure)

        try:
            await retry_while_disk_refuses(write)
        except Superseded as error:  # an earlier try succeeded although it reported an error
            if error.state not in {JobState.RENDERED, JobState.DELIVERING, JobState.DELIVERED}:
                raise
        log.info("rendered", seconds=clip.seconds, bytes=clip.size)
        rendered = await retry_while_disk_refuses(lambda: self._store.job(job.id))
        self._events.publish(JobRendered(rendered))

    def _build_order(self, job: Job) -> Order:
        preset = self._presets.get(job.request.model)
        if preset is None:  # the operator removed the model while the job waited
            raise ModelMissing(job.request.model)
        folder = self._clips / str(job.id)
        return Order(label=f"{job.id}.{job.epoch}", request=job.request, preset=preset, folder=folder)

    async def _handle_engine_failure(self, job: Job, error: EngineDied | EngineStuck) -> None:
        engine_at_fault = not isinstance(error, EngineDied) or error.guilty
        log.warning("engine failed", guilty=engine_at_fault, attempt=job.attempt, reason=str(error))
        if engine_at_fault and job.attempt + 1 >= MAX_ENGINE_DEATHS:
            await self._record_failure(job, error)
        else:
            requeue = self._store.requeue
            await write_or_superseded(
                self._store,
                job.id,
                lambda: requeue(job.id, job.epoch, guilty=engine_at_fault),
                JobState.QUEUED,
            )

    async def _record_failure(self, job: Job, error: ExplainedError) -> None:
        async def write() -> Job:
            pass_failpoint(FailPoint.FAIL, simulated_store_failure)
            done = await self._store.mark_failed(job.id, job.epoch, error)
            pass_failpoint(FailPoint.FAILED, simulated_store_failure)
            return done

        done = await write_or_superseded(self._store, job.id, write, JobState.FAILED)
        if done is not None:
            self._events.publish(JobEnded(done))

    async def _requeue(self, job: Job) -> None:
        """Return the job to the queue, unless it was cancelled."""
        try:
            await self._store.requeue(job.id, job.epoch, guilty=False)
        except Superseded:
            return
        except DISK_REFUSALS:  # the next start requeues the job
            log.exception("the job was not requeued")

    async def _renew_lease(self, job: Job, render: asyncio.Task[None] | None) -> None:
        while True:
            await asyncio.sleep(LEASE_SECONDS / 3)
            try:
                still_ours = await self._store.renew(job.id, job.epoch, lease=LEASE_SECONDS)
            except DISK_REFUSALS as error:  # two more tries follow before the lease expires
                log.error("lease not renewed", reason=str(error))  # noqa: TRY400  (the store logged the cause)
                continue
            if not still_ours and render is not None:
                render.cancel()
                return


class _ProgressObserver:
    """Publishes the progress of one render, and records once when its frames are generated."""

    def __init__(self, job: Job, store: Store, events: EventBus) -> None:
        self._job = job
        self._store = store
        self._events = events
        self._recording: asyncio.Task[None] | None = None

    def on_progress(self, progress: Progress) -> None:
        self._events.publish(JobProgressed(self._job, progress))
        if self._recording is None and _is_picture_done(self._job, progress):
            self._recording = asyncio.create_task(self._record_picture_done())

    def close(self) -> None:
        """Stop a record that is still not written: the job's next state decides from here on."""
        if self._recording is not None:
            self._recording.cancel()

    async def _record_picture_done(self) -> None:
        """The render goes on meanwhile. A job that was cancelled or requeued meanwhile is left as it is."""
        job = self._job
        try:
            await retry_while_disk_refuses(lambda: self._store.mark_picture_done(job.id, job.epoch))
        except Superseded:
            log.info("frames of a job that is no longer ours")
        except DISK_REFUSALS:  # a cancel is refunded then; finishing the clip records it again
            log.exception("the end of frame generation was not recorded")


def _is_picture_done(job: Job, progress: Progress) -> bool:
    """Music is composed beside the frames, so that stage says nothing about them."""
    if job.request.kind is Kind.MUSIC:
        return False
    if progress.stage is Stage.GENERATING_FRAMES:
        return 0 < progress.total <= progress.done
    return progress.stage in {Stage.ENCODING, Stage.FITTING}
