"""Prometheus metrics: correct by model and platform, in a file or on a local port, without user data."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
from msgspec import structs
from prometheus_client.parser import text_string_to_metric_families

from bot.domain.errors import ConfigBroken
from bot.domain.events import EventBus, JobDelivered, JobEnded, JobQueued, JobRendered
from bot.domain.jobs import JobState
from bot.maintenance.heartbeat import HealthState, Heartbeat, PartHealth
from bot.maintenance.metrics import Metrics, MetricsOutput, export_metrics
from bot.store.store import Store
from generation.errors import PictureFailed
from tests.bot.app_harness import running_app, running_tasks, wait_until
from tests.bot.maintenance.test_backups import LARGE_ALLOWANCE, NO_CAPS
from tests.bot.store.conftest import CLIP, Clock
from tests.factories import make_draft, make_viewer
from tests.paths import ROOT

Samples = dict[tuple[str, tuple[str, ...]], float]


def parse_samples(text: str) -> Samples:
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def run_sample_jobs(store: Store, clock: Clock, events: EventBus) -> None:
    for number in range(4):
        draft = make_draft(f"secret-person-{number}", platform="telegram" if number % 2 else "discord")
        enqueued = await store.enqueue(draft, allowance=LARGE_ALLOWANCE, caps=NO_CAPS)
        events.publish(JobQueued(enqueued.job))
    clock.now += 20
    for end in ("delivered", "failed", "uncertain"):
        job = await store.claim(lease=60)
        assert job is not None
        clock.now += 40
        if end == "failed":
            events.publish(JobEnded(await store.mark_failed(job.id, job.epoch, PictureFailed("m", "r"))))
            continue
        await store.mark_rendered(job.id, job.epoch, structs.replace(CLIP, path=Path("x")))
        events.publish(JobRendered(await store.job(job.id)))
        await store.begin_delivery(job.id)
        if end == "delivered":
            events.publish(JobDelivered(await store.mark_delivered(job.id, "m")))
        else:
            events.publish(JobEnded(await store.mark_uncertain(job.id)))


async def test_metrics_in_file_and_on_port_are_right_and_anonymous(tmp_path: Path) -> None:
    clock = Clock()
    store, events = await Store.open(tmp_path, clock=clock), EventBus()
    metrics = Metrics(tmp_path)
    metrics.subscribe(events)
    metrics.record_heartbeat(
        Heartbeat(pid=1, at=1, steady=1, started_at=1, stopping=False, parts=PART_STATES), 0.01
    )
    output = MetricsOutput(file=tmp_path / "matinee.prom", port=free_port())
    await run_sample_jobs(store, clock, events)
    async with running_tasks(export_metrics(metrics, output, store, lambda: 3)):
        text = await fetch_when_ready(output.port)
        await wait_until(lambda: (output.file is not None and output.file.exists()) or None)
    assert output.file is not None
    written = output.file.read_text()
    for page in (text, written):
        found = parse_samples(page)
        assert found["matinee_jobs_total", ("testcard", "asked", "discord")] == 2
        assert found["matinee_jobs_total", ("testcard", "delivered", "discord")] == 1
        assert found["matinee_jobs_total", ("testcard", "failed", "telegram")] == 1
        assert found["matinee_deliveries_total", ("uncertain", "discord")] == 1
        assert found["matinee_paint_seconds_count", ("testcard",)] == 2
        assert found["matinee_paint_seconds_sum", ("testcard",)] == 80
        assert found["matinee_wait_seconds_bucket", ("60.0", "discord")] == 1
        assert found["matinee_queue_length", ()] == 1
        assert found["matinee_engine_restarts_total", ()] == 2
        assert found["matinee_part_well", ("engine",)] == 1
        assert found["matinee_part_well", ("telegram",)] == 0
        assert found["matinee_event_loop_lag_seconds_count", ()] == 1
        assert found["matinee_disk_free_bytes", ()] > 0
        assert "secret" not in page
        assert "fox" not in page
    with pytest.raises(aiohttp.ClientConnectorError):
        await fetch(output.port)
    await store.close()


async def test_the_running_app_reports_every_outcome_to_the_metrics(tmp_path: Path) -> None:
    async with running_app(tmp_path) as app:
        metrics = Metrics(tmp_path)
        metrics.subscribe(app.events)
        delivered, failed, cancelled = [(await app.ask()).job.id for _ in range(3)]
        app.engine.finish(await app.engine_label(delivered))
        await app.wait_for_state(delivered, JobState.DELIVERED)
        app.engine.fail(await app.engine_label(failed), PictureFailed("testcard", "black frames"))
        await app.wait_for_state(failed, JobState.FAILED)
        await app.studio.cancel(cancelled, make_viewer("ana"))
        metrics.write(tmp_path / "matinee.prom")
        found = parse_samples((tmp_path / "matinee.prom").read_text())
        assert found["matinee_jobs_total", ("testcard", "asked", "fake")] == 3
        for outcome in ("delivered", "failed", "cancelled"):
            assert found["matinee_jobs_total", ("testcard", outcome, "fake")] == 1
        assert found["matinee_deliveries_total", ("delivered", "fake")] == 1
        assert found["matinee_paint_seconds_count", ("testcard",)] == 1


PART_STATES = {
    "engine": PartHealth(life=HealthState.HEALTHY, since=1),
    "telegram": PartHealth(life=HealthState.UNREACHABLE, since=1),
}


async def fetch_when_ready(port: int) -> str:
    """Fetch the page as soon as the port is open."""
    async with asyncio.timeout(20):
        while True:
            with suppress(aiohttp.ClientConnectorError):
                return await fetch(port)
            await asyncio.sleep(0.01)  # the connection decides, not the pause


async def fetch(port: int) -> str:
    async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{port}/metrics") as answer:
        return await answer.text()


def test_a_taken_port_is_a_config_error(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigBroken):
            Metrics(tmp_path).serve(taken.getsockname()[1])


async def test_prometheus_is_not_imported_by_default() -> None:
    script = "import sys, bot.runtime.app, bot.cli.commands; sys.exit('prometheus_client' in sys.modules)"
    root = str(ROOT)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, env=os.environ | {"PYTHONPATH": root}
    )
    assert await asyncio.wait_for(process.wait(), 60) == 0
