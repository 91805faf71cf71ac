"""Figures for Prometheus: true, by model and platform, on a file or a port of this machine, and of nobody."""

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
from bot.maintenance.heartbeat import HealthState, Heartbeat, PartHealth
from bot.maintenance.metrics import MeteredStore, Metrics, MetricsOutput, export_metrics
from generation.errors import PictureFailed
from tests.bot.app_harness import running_tasks, wait_until
from tests.bot.maintenance.test_backups import LARGE_ALLOWANCE, NO_CAPS
from tests.bot.store.conftest import CLIP, Clock, make_draft
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


async def run_sample_jobs(store: MeteredStore, clock: Clock) -> None:
    for number in range(4):
        draft = make_draft(f"secret-person-{number}", platform="telegram" if number % 2 else "discord")
        await store.enqueue(draft, allowance=LARGE_ALLOWANCE, caps=NO_CAPS)
    clock.now += 20
    for end in ("delivered", "failed", "doubtful"):
        job = await store.claim(lease=60)
        assert job is not None
        clock.now += 40
        if end == "failed":
            await store.failed(job.id, job.epoch, PictureFailed("m", "r"))
            continue
        await store.rendered(job.id, job.epoch, structs.replace(CLIP, path=Path("x")))
        await store.begin_delivery(job.id)
        await (store.delivered(job.id, "m") if end == "delivered" else store.doubtful(job.id))


async def test_metrics_in_file_and_on_port_are_right_and_anonymous(tmp_path: Path) -> None:
    clock = Clock()
    store = await MeteredStore.open(tmp_path, clock=clock)
    store.metrics = meters = Metrics(tmp_path)
    meters.record_heartbeat(
        Heartbeat(pid=1, at=1, steady=1, started_at=1, stopping=False, parts=PART_STATES), 0.01
    )
    outlet = MetricsOutput(file=tmp_path / "matinee.prom", port=free_port())
    await run_sample_jobs(store, clock)
    async with running_tasks(export_metrics(meters, outlet, store, lambda: 3)):
        text = await fetch_when_ready(outlet.port)
        await wait_until(lambda: (outlet.file is not None and outlet.file.exists()) or None)
    assert outlet.file is not None
    written = outlet.file.read_text()
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
        await fetch(outlet.port)
    await store.close()


PART_STATES = {
    "engine": PartHealth(life=HealthState.HEALTHY, since=1),
    "telegram": PartHealth(life=HealthState.UNREACHABLE, since=1),
}


async def fetch_when_ready(port: int) -> str:
    """As soon as somebody listens."""
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
