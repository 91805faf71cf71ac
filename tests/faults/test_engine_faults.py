"""Whatever one job does to the engine process, other jobs are rendered and are not blamed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bot.domain.jobs import Job, JobState
from generation.engines.local.child_process import Timeouts
from generation.engines.local.engine import LocalEngine
from generation.engines.local.protocol import EngineSetup
from generation.request import MusicWish, Wish
from tests.bot.app_harness import PRESETS, open_app, running_tasks, wait_for_state, wait_until
from tests.factories import make_reply_to, make_viewer
from tests.fakes.frontend import FakeFrontend
from tests.faults.engine_faults import ENGINE_FAULTS, SET_ASIDE, EngineFault

pytestmark = pytest.mark.slow

HEARTBEAT_SECONDS = {"freeze": 1.0, "stop": 1.0}
STALL_SECONDS = {"hang": 10.0}
"""Short only where the fault is silence; elsewhere a busy machine must not count as silent."""
PRESETS_WITH_FAULTS = {"testcard": replace(PRESETS["testcard"], family="faulty")}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", ENGINE_FAULTS, ids=lambda fault: fault.trigger_prompt)
async def test_a_faulty_job_does_not_harm_other_jobs(tmp_path: Path, fault: EngineFault) -> None:
    heartbeat, stall = (
        HEARTBEAT_SECONDS.get(fault.trigger_prompt, 5.0),
        STALL_SECONDS.get(fault.trigger_prompt, 60.0),
    )
    setup = EngineSetup(
        nice=0, heartbeat_seconds=heartbeat, plugins=("tests.generation.engines.local.faulty_model",)
    )
    engine = LocalEngine(setup, timeouts=Timeouts(restart_delays=(0.0, 0.02), stall=stall))
    chat = FakeFrontend()
    async with open_app(tmp_path, engine=engine, chat=chat, credits_=100, presets=PRESETS_WITH_FAULTS) as app:
        studio = app.studio

        async def submit(prompt: str, user: str) -> Job:
            wish = Wish(prompt=prompt, width=256, height=256, seconds=0.5, steps=3)
            wish = replace(wish, music=MusicWish(genre="none"))
            return (await studio.submit(wish, make_viewer(user), make_reply_to())).job

        faulty_job = await submit(fault.trigger_prompt, "faulty")
        other_jobs = [await submit("a clip", f"u{n}") for n in range(2)]
        try:
            async with running_tasks(app.worker.run(), app.delivery.run()):
                ended = await wait_for_state(
                    app.store, faulty_job.id, JobState.DELIVERED, JobState.FAILED, seconds=100
                )
                other_jobs.append(await submit("the next", "later"))
                for job in other_jobs:
                    done = await wait_for_state(app.store, job.id, JobState.DELIVERED, seconds=100)
                    assert done.attempt == 0, "a job that did not cause the fault was blamed"
                if fault.error:
                    await wait_until(lambda: any(number == ended.id for number, *_ in chat.statuses))
        finally:
            await engine.close()
        assert (ended.error or {}).get("kind", "") == fault.error
        assert ended.attempt == (1 if fault.outcome == SET_ASIDE else 0)
        assert chat.clip_counts == {
            job.id: 1 for job in [*other_jobs, *([] if fault.error else [faulty_job])]
        }
        spent = -sum(entry.credits for entry in await app.store.ledger_entries("fake:faulty", 10))
        assert spent == (0 if fault.error else faulty_job.cost)
    assert not list(tmp_path.rglob("*.part"))
