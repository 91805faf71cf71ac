"""The engine is killed repeatedly during renders: no clip is lost, and none is sent twice."""

from __future__ import annotations

import os
import random
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from bot.domain.jobs import Job, JobState
from generation.engines.local.child_process import Timeouts
from generation.engines.local.engine import LocalEngine
from generation.engines.local.protocol import EngineSetup
from generation.progress import Progress, Stage
from generation.request import MusicWish, Wish
from tests.bot.app_harness import open_app, running_tasks, wait_for_state
from tests.factories import make_reply_to, make_viewer
from tests.fakes.frontend import FakeFrontend

pytestmark = pytest.mark.slow

JOBS = 50
KILLS = 10


class EngineKillingFrontend(FakeFrontend):
    """A frontend that kills the engine at moments chosen by the seed, when it is shown progress."""

    def __init__(self, engine: LocalEngine, seed: int) -> None:
        super().__init__()
        self.engine = engine
        self.rng = random.Random(seed)
        self.killed_jobs: set[int] = set()

    async def show_status(self, job: Job, text: str, *, progress: Progress | None = None) -> None:
        await super().show_status(job, text, progress=progress)
        if (
            progress is None
            or progress.stage is not Stage.GENERATING_FRAMES
            or len(self.killed_jobs) >= KILLS
        ):
            return
        if self.engine.pid is not None and job.id not in self.killed_jobs and self.rng.random() < 0.2:
            self.killed_jobs.add(job.id)
            os.kill(self.engine.pid, signal.SIGKILL)


@pytest.mark.parametrize("seed", [7])
async def test_no_job_is_lost_when_the_engine_is_killed_at_random(tmp_path: Path, seed: int) -> None:
    engine = LocalEngine(EngineSetup(nice=0), timeouts=Timeouts(restart_delays=(0.0, 0.05)))
    chat = EngineKillingFrontend(engine, seed)
    async with open_app(tmp_path, engine=engine, chat=chat, credits_=JOBS) as app:
        studio = app.studio
        wish = Wish(prompt="a fox", width=256, height=256, seconds=2, steps=24, music=MusicWish(genre="none"))
        jobs = [
            (await studio.submit(replace(wish, seed=n), make_viewer(f"u{n % 10}"), make_reply_to())).job
            for n in range(JOBS)
        ]
        async with running_tasks(app.worker.run(), app.delivery.run()):
            for job in jobs:
                await wait_for_state(app.store, job.id, JobState.DELIVERED, JobState.FAILED, seconds=250)
        await engine.close()
        ended = [await app.store.job(job.id) for job in jobs]
        assert len(chat.killed_jobs) == KILLS
        # Progress arrives late, so a kill may also hit the next job; a job that is hit twice fails.
        failed_jobs = [job for job in ended if job.state is JobState.FAILED]
        assert all(
            job.attempt == 1 and job.error and job.error["kind"] == "EngineDied" for job in failed_jobs
        )
        assert len(failed_jobs) <= KILLS // 2
        assert chat.clip_counts == {job.id: 1 for job in ended if job.state is JobState.DELIVERED}
        for number in range(10):
            mine = [job for job in ended if job.requester.user == f"u{number}"]
            entries = await app.store.ledger_entries(f"fake:u{number}", 1000)
            charged = sum(job.cost for job in mine if job.state is JobState.DELIVERED)
            assert sum(entry.credits for entry in entries) == -charged
        assert not list((tmp_path / "clips").rglob("*.part"))
