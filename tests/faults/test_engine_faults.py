"""Whatever the engine's process does to one job, the others are made, and nobody innocent is set aside."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bot.domain.jobs import Job, ReplyTo, State
from bot.pipeline.delivery import Delivery
from bot.pipeline.worker import Worker
from generation.engines.local.engine import ChildEngine, Patience, Setup
from generation.models.common.registry import Preset
from generation.request import Limits, MusicWish, Wish
from tests.bot.app_harness import halved, house_of, running, until, who
from tests.fakes.frontend import FakeFrontend
from tests.faults.engine_faults import ASIDE, ENGINE, EngineFault

BEATS = {"freeze": 1.0, "stop": 1.0}
STALLS = {"hang": 10.0}
"""Short where the fault is one of silence; elsewhere a busy machine must not look like one."""
PRESET = Preset(
    name="testcard", family="trouble", title="Trouble", limits=Limits(width=64, height=64, min_side=32)
)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", ENGINE, ids=lambda fault: fault.verb)
async def test_one_job_may_do_its_worst(tmp_path: Path, fault: EngineFault) -> None:
    beat, stall = BEATS.get(fault.verb, 5.0), STALLS.get(fault.verb, 60.0)
    setup = Setup(nice=0, beat_every=beat, plugins=("tests.generation.engines.local.faulty_model",))
    engine = ChildEngine(setup, patience=Patience(pauses=(0.0, 0.02), stall=stall))
    chat = FakeFrontend()
    async with house_of(tmp_path, credits_=100) as (store, studio):
        delivery = Delivery(store=store, frontends={"fake": chat}, fit=halved)
        presets = {"testcard": PRESET}
        clips = tmp_path / "clips"
        worker = Worker(store=store, engine=engine, presets=presets, clips=clips, delivery=delivery)
        studio.on_work, studio.on_rendered = worker.ring, delivery.ring

        async def ask(prompt: str, user: str) -> Job:
            wish = Wish(prompt=prompt, width=256, height=256, seconds=0.5, steps=3)
            wish = replace(wish, music=MusicWish(genre="none"))
            return (await studio.submit(wish, who(user), ReplyTo(platform="fake", chat="c"))).job

        villain = await ask(fault.verb, "villain")
        neighbours = [await ask("a clip", f"u{n}") for n in range(2)]
        try:
            async with running(worker.run(), delivery.run()):
                ended = await studio.reached(villain.id, State.DELIVERED, State.FAILED, seconds=100)
                neighbours.append(await ask("the next", "later"))
                for job in neighbours:
                    done = await studio.reached(job.id, State.DELIVERED, seconds=100)
                    assert done.attempt == 0, "an innocent was blamed"
                if fault.error:
                    await until(lambda: any(number == ended.id for number, *_ in chat.said))
        finally:
            await engine.close()
        assert (ended.error or {}).get("kind", "") == fault.error
        assert ended.attempt == (1 if fault.becomes == ASIDE else 0)
        assert chat.shown == {job.id: 1 for job in [*neighbours, *([] if fault.error else [villain])]}
        spent = -sum(entry.credits for entry in await store.entries("fake:villain", 10))
        assert spent == (0 if fault.error else villain.cost)
    assert not list(tmp_path.rglob("*.part"))
