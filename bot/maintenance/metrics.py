"""Prometheus metrics: jobs, durations and the state of the machine, without any data about users."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from bot.domain.errors import ConfigBroken
from bot.domain.events import EventBus, JobDelivered, JobEnded, JobQueued, JobRendered
from bot.domain.jobs import Job, JobState
from bot.maintenance.heartbeat import HealthState, Heartbeat
from bot.store.store import Store

log = structlog.get_logger(__name__)

INTERVAL = 15.0
WAIT_BUCKETS = (1, 5, 15, 60, 300, 900, 3600, 14_400)
RENDER_BUCKETS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800)
LAG_BUCKETS = (0.001, 0.005, 0.02, 0.1, 0.5, 2, 10)
SETTING_NAME = "[upkeep] metrics"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsOutput:
    """Where the metrics are exported: to a file, on a local port, both or neither."""

    file: Path | None = None
    port: int = 0

    def __bool__(self) -> bool:
        return self.file is not None or self.port > 0


class Metrics:
    """`data` is the folder whose free space is reported. Raises ConfigBroken if the library is missing."""

    def __init__(self, data: Path) -> None:
        try:
            import prometheus_client as prometheus  # noqa: PLC0415  (an optional dependency)
        except ImportError:
            raise ConfigBroken(SETTING_NAME, "need a package more: pip install 'matinee[metrics]'") from None
        self._data = data
        self._engine_starts = 0
        self._library = prometheus
        self.registry = registry = prometheus.CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Any:
            return prometheus.Counter(f"matinee_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Any:
            return prometheus.Gauge(f"matinee_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: Any, *labels: str) -> Any:
            return prometheus.Histogram(f"matinee_{name}", text, labels, buckets=buckets, registry=registry)

        self._jobs = counter(
            "jobs", "Jobs by outcome; asked counts submitted jobs", "outcome", "model", "platform"
        )
        self._deliveries = counter("deliveries", "Deliveries by outcome", "outcome", "platform")
        self._wait_seconds = histogram(
            "wait_seconds", "From submission to the start of the render", WAIT_BUCKETS, "platform"
        )
        self._render_seconds = histogram(
            "paint_seconds", "From the start of the render to the clip", RENDER_BUCKETS, "model"
        )
        self._lag = histogram("event_loop_lag_seconds", "By how much the event loop was late", LAG_BUCKETS)
        self._restarts = counter("engine_restarts", "Restarts of the engine")
        self._queue = gauge("queue_length", "Jobs that wait in the queue")
        self._running = gauge("running", "Jobs that are being rendered")
        self._disk_free = gauge("disk_free_bytes", "Free space on the disk of the data folder")
        self._part_healthy = gauge("part_well", "1 while the part is healthy", "part")

    def subscribe(self, events: EventBus) -> None:
        """Count the jobs of these events."""
        events.subscribe(JobQueued, lambda event: self.job_submitted(event.job))
        events.subscribe(JobRendered, lambda event: self.job_rendered(event.job))
        events.subscribe(JobEnded, lambda event: self.job_ended(event.job))
        events.subscribe(JobDelivered, lambda event: self.job_ended(event.job))

    def job_submitted(self, job: Job) -> None:
        self._count("asked", job)

    def job_rendered(self, job: Job) -> None:
        if job.started_at is not None and job.finished_at is not None:
            self._wait_seconds.labels(job.reply_to.platform).observe(
                max(0.0, job.started_at - job.created_at)
            )
            self._render_seconds.labels(job.request.model).observe(max(0.0, job.finished_at - job.started_at))

    def job_ended(self, job: Job) -> None:
        """Count the job by its state; if it has a clip, also count the delivery."""
        self._count(job.state.value, job)
        if job.clip is not None and job.state is not JobState.CANCELLED:
            self._deliveries.labels(job.state.value, job.reply_to.platform).inc()

    def _count(self, outcome: str, job: Job) -> None:
        self._jobs.labels(outcome, job.request.model, job.reply_to.platform).inc()

    def record_heartbeat(self, heartbeat: Heartbeat, lag: float) -> None:
        self._lag.observe(lag)
        for name, part in heartbeat.parts.items():
            self._part_healthy.labels(name).set(part.life is HealthState.HEALTHY)

    def update_gauges(self, waiting: int, running: int, starts: int) -> None:
        self._queue.set(waiting)
        self._running.set(running)
        self._disk_free.set(shutil.disk_usage(self._data).free)
        self._restarts.inc(max(0, starts - max(1, self._engine_starts)))
        self._engine_starts = starts

    def write(self, file: Path) -> None:
        self._library.write_to_textfile(str(file), self.registry)
        file.chmod(0o644)  # another program reads it, and it holds only numbers

    def serve(self, port: int) -> Callable[[], None]:
        """Serve the metrics on a port of localhost; returns a function that ends it."""
        try:
            server, thread = self._library.start_http_server(port, "127.0.0.1", self.registry)
        except OSError as error:
            raise ConfigBroken(
                f"{SETTING_NAME}_port", f"{port} cannot be listened on: {error.strerror}"
            ) from error

        def shut_down() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        return shut_down


async def export_metrics(
    metrics: Metrics, output: MetricsOutput, store: Store, starts: Callable[[], int]
) -> None:
    """Update the metrics, and write or serve them, until cancelled."""
    await _update_gauges(metrics, store, starts)  # so that the first answer has real values
    stop_server = metrics.serve(output.port) if output.port else None
    try:
        while True:
            if output.file is not None:
                await asyncio.to_thread(_write_file, metrics, output.file)
            await asyncio.sleep(INTERVAL)
            await _update_gauges(metrics, store, starts)
    finally:
        if stop_server is not None:
            stop_server()


async def _update_gauges(metrics: Metrics, store: Store, starts: Callable[[], int]) -> None:
    waiting, running = await store.queued_and_running()
    metrics.update_gauges(waiting, running, starts())


def _write_file(metrics: Metrics, file: Path) -> None:
    with suppress(OSError):  # the age of the file shows it; the bot goes on
        metrics.write(file)
