"""The engine is killed again and again while people's clips are made: none is lost, none is doubled."""

from __future__ import annotations

import os
import random
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from bot.domain.jobs import Job, ReplyTo, State
from bot.pipeline.delivery import Delivery
from bot.pipeline.worker import Worker
from generation.engines.local.engine import ChildEngine, Patience, Setup
from generation.progress import Progress, Stage
from generation.request import MusicWish, Wish
from tests.bot.app_harness import PRESETS, halved, house_of, running, who
from tests.fakes.frontend import FakeFrontend

JOBS = 50
KILLS = 10


class Assassin(FakeFrontend):
    """Watches the progress like anybody in the chat, and kills the child at moments that the seed chooses."""

    def __init__(self, engine: ChildEngine, seed: int) -> None:
        super().__init__()
        self.engine = engine
        self.draw = random.Random(seed)
        self.struck: set[int] = set()

    async def say(self, job: Job, text: str, *, progress: Progress | None = None) -> None:
        await super().say(job, text, progress=progress)
        if progress is None or progress.stage is not Stage.PAINTING or len(self.struck) >= KILLS:
            return
        if self.engine.pid is not None and job.id not in self.struck and self.draw.random() < 0.2:
            self.struck.add(job.id)
            os.kill(self.engine.pid, signal.SIGKILL)


@pytest.mark.parametrize("seed", [7])
async def test_no_job_is_lost_when_the_child_is_killed_at_random(tmp_path: Path, seed: int) -> None:
    engine = ChildEngine(Setup(nice=0), patience=Patience(pauses=(0.0, 0.05)))
    chat = Assassin(engine, seed)
    async with house_of(tmp_path, credits_=JOBS) as (store, studio):
        delivery = Delivery(store=store, frontends={"fake": chat}, fit=halved, retry_after=(0.0,))
        worker = Worker(
            store=store, engine=engine, presets=PRESETS, clips=tmp_path / "clips", delivery=delivery
        )
        studio.on_work, studio.on_cancel = worker.ring, worker.stop
        wish = Wish(prompt="a fox", width=256, height=256, seconds=2, steps=24, music=MusicWish(genre="none"))
        jobs = [
            (
                await studio.submit(
                    replace(wish, seed=n), who(f"u{n % 10}"), ReplyTo(platform="fake", chat="c")
                )
            ).job
            for n in range(JOBS)
        ]
        async with running(worker.run(), delivery.run()):
            for job in jobs:
                await studio.reached(job.id, State.DELIVERED, State.FAILED, seconds=250)
        await engine.close()
        ended = [await studio.job(job.id) for job in jobs]
        assert len(chat.struck) == KILLS
        # A strike may hit the next job too, since word of progress takes a while: twice hit, it is set aside.
        aside = [job for job in ended if job.state is State.FAILED]
        assert all(job.attempt == 1 and job.error and job.error["kind"] == "EngineDied" for job in aside)
        assert len(aside) <= KILLS // 2
        assert chat.shown == {job.id: 1 for job in ended if job.state is State.DELIVERED}
        for number in range(10):
            mine = [job for job in ended if job.requester.user == f"u{number}"]
            entries = await store.entries(f"fake:u{number}", 1000)
            charged = sum(job.cost for job in mine if job.state is State.DELIVERED)
            assert sum(entry.credits for entry in entries) == -charged
        assert not list((tmp_path / "clips").rglob("*.part"))
