"""Whatever the child process does, every order gets a result and no process is left."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from generation import Clip, Progress, Stage
from generation.engines.local.child_process import Timeouts
from generation.engines.local.engine import LocalEngine
from generation.engines.local.process_group import session_members
from generation.errors import EngineDied, EngineStuck, ModelBroken, PictureFailed
from generation.media.ffmpeg import find
from generation.order import Order
from tests.generation.engines.local.conftest import MakeEngine, ProgressRecorder

pytestmark = pytest.mark.slow

MakeOrder = Callable[..., Order]
TIMEOUT = 60.0


def ignore_progress(_: Progress) -> None: ...


def start_render(
    engine: LocalEngine, order: Order, on_progress: Callable[[Progress], None] = ignore_progress
) -> asyncio.Task[Clip]:
    return asyncio.create_task(engine.render(order, on_progress))


async def wait_for_event(event: asyncio.Event) -> None:
    await asyncio.wait_for(event.wait(), TIMEOUT)


async def error_of(task: asyncio.Task[Clip]) -> BaseException:
    await asyncio.wait({task}, timeout=TIMEOUT)
    error = task.exception()
    assert error is not None
    return error


async def test_an_order_becomes_a_clip_and_reports_progress(
    make_engine: MakeEngine, make_order: MakeOrder
) -> None:
    listener = ProgressRecorder()
    clip = await make_engine().render(make_order(steps=3, frames=4), listener)
    assert (clip.width, clip.height, clip.frames, clip.fps) == (64, 64, 4, 8.0)
    assert clip.size == clip.path.stat().st_size > 0
    stages = [p.stage for p in listener.received]
    assert stages.index(Stage.GENERATING_FRAMES) < stages.index(Stage.ENCODING)
    steps = [p.done for p in listener.received if p.stage is Stage.GENERATING_FRAMES]
    assert steps == sorted(steps)
    assert steps[-1] == 3


async def test_the_model_stays_between_orders(
    make_engine: MakeEngine, make_order: MakeOrder, tmp_path: Path
) -> None:
    engine, loads = make_engine(), tmp_path / "loads"
    for label in "123":
        await engine.render(make_order(label=label, options={"loads": str(loads)}), ignore_progress)
    assert loads.read_text().splitlines() == ["faulty"]


async def test_library_output_on_stdout_is_harmless(make_engine: MakeEngine, make_order: MakeOrder) -> None:
    clip = await make_engine().render(make_order("print:500"), ignore_progress)
    assert clip.frames == 4


async def test_an_exception_is_returned_with_its_traceback(
    make_engine: MakeEngine, make_order: MakeOrder
) -> None:
    engine = make_engine()
    error = await error_of(start_render(engine, make_order("raise:oh dear")))
    assert isinstance(error, PictureFailed)
    assert "LookupError" in error.reason
    assert "do_raise" in "".join(error.__notes__)
    pid = engine.pid
    await engine.render(make_order(label="2"), ignore_progress)
    assert engine.pid == pid


async def test_an_unknown_family_raises_model_broken(make_engine: MakeEngine, make_order: MakeOrder) -> None:
    assert isinstance(await error_of(start_render(make_engine(), make_order(family="unknown"))), ModelBroken)


@pytest.mark.parametrize("end", ["exit:0", "exit:3", "segfault"])
async def test_a_crash_is_reported_and_the_next_order_gets_a_new_child(
    make_engine: MakeEngine, make_order: MakeOrder, end: str
) -> None:
    engine = make_engine()
    error = await error_of(start_render(engine, make_order(end)))
    assert isinstance(error, EngineDied)
    assert error.guilty
    if end == "segfault":
        assert "Segmentation fault" in error.detail
    assert (await engine.render(make_order(label="2"), ignore_progress)).frames == 4


async def test_a_waiting_order_is_not_blamed_for_a_crash(
    make_engine: MakeEngine, make_order: MakeOrder, tmp_path: Path
) -> None:
    engine, listener = make_engine(), ProgressRecorder()
    rendering = start_render(engine, make_order(f"gate:{tmp_path / 'never'}"), listener)
    await wait_for_event(listener.stepped)
    waiting = start_render(engine, make_order(label="2"))
    await asyncio.sleep(0)
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)
    errors = [await error_of(task) for task in (rendering, waiting)]
    assert [isinstance(e, EngineDied) and e.guilty for e in errors] == [True, False]


@pytest.mark.parametrize(("stage", "guilty"), [("frames", [False, True]), ("music", [True, True])])
async def test_an_order_past_its_frames_is_blamed_only_while_its_music_is_composed(
    make_engine: MakeEngine, make_order: MakeOrder, stage: str, guilty: list[bool]
) -> None:
    engine = make_engine(command=(sys.executable, "-m", "tests.generation.engines.local.fake_child", stage))
    errors = [
        await error_of(task) for task in [start_render(engine, make_order(label=label)) for label in "12"]
    ]
    assert [isinstance(e, EngineDied) and e.guilty for e in errors] == guilty


async def test_a_hang_is_detected_and_only_the_hanging_order_is_blamed(
    make_engine: MakeEngine, make_order: MakeOrder
) -> None:
    engine = make_engine(heartbeat=0.5, timeouts=Timeouts(stall=2.0, restart_delays=(0.0,)))
    listener = ProgressRecorder()
    hanging = start_render(engine, make_order("hang"), listener)
    await wait_for_event(listener.started)
    waiting = start_render(engine, make_order(label="2"))
    error = await error_of(hanging)
    assert isinstance(error, EngineStuck)
    other_error = await error_of(waiting)
    assert isinstance(other_error, EngineDied)
    assert not other_error.guilty
    assert (await engine.render(make_order(label="3"), ignore_progress)).frames == 4


async def test_a_stopped_child_is_noticed_by_missing_heartbeats(
    make_engine: MakeEngine, make_order: MakeOrder, tmp_path: Path
) -> None:
    engine, listener = make_engine(heartbeat=0.5), ProgressRecorder()
    task = start_render(engine, make_order(f"gate:{tmp_path / 'never'}"), listener)
    await wait_for_event(listener.stepped)
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGSTOP)
    error = await error_of(task)
    assert isinstance(error, EngineDied)
    assert "sent no heartbeat" in error.detail


async def test_a_blocked_parent_loop_is_not_held_against_the_child(
    make_engine: MakeEngine, make_order: MakeOrder, tmp_path: Path
) -> None:
    """After a suspended machine or a blocked loop, heartbeats of that time are still unread."""
    engine, listener, gate = (
        make_engine(heartbeat=0.5, timeouts=Timeouts(stall=5.0)),
        ProgressRecorder(),
        tmp_path / "gate",
    )
    task = start_render(engine, make_order(f"gate:{gate}"), listener)
    await wait_for_event(listener.stepped)
    for _ in range(3):
        time.sleep(2.5)  # noqa: ASYNC251  (the test blocks the loop)
        await asyncio.sleep(0.05)
    gate.touch()
    assert (await task).frames == 4


async def test_a_render_that_takes_too_long_is_ended(
    make_engine: MakeEngine, make_order: MakeOrder, tmp_path: Path
) -> None:
    engine = make_engine(heartbeat=0.5, timeouts=Timeouts(total=1.0))
    assert isinstance(
        await error_of(start_render(engine, make_order(f"gate:{tmp_path / 'never'}"))), EngineStuck
    )


async def test_cancelling_keeps_the_same_child(
    make_engine: MakeEngine, make_order: MakeOrder, tmp_path: Path
) -> None:
    engine, listener = make_engine(), ProgressRecorder()
    order = make_order(f"gate:{tmp_path / 'never'}")
    task = start_render(engine, order, listener)
    await wait_for_event(listener.stepped)
    pid = engine.pid
    task.cancel()
    await asyncio.wait({task}, timeout=TIMEOUT)
    assert task.cancelled()
    assert list(order.folder.iterdir()) == []
    await engine.render(make_order(label="2"), ignore_progress)
    assert engine.pid == pid


async def test_a_waiting_order_can_be_cancelled_too(
    make_engine: MakeEngine, make_order: MakeOrder, tmp_path: Path
) -> None:
    engine, listener, gate = make_engine(), ProgressRecorder(), tmp_path / "gate"
    rendering = start_render(engine, make_order(f"gate:{gate}"), listener)
    await wait_for_event(listener.stepped)
    waiting = start_render(engine, make_order(label="2"))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting}, timeout=TIMEOUT)
    assert waiting.cancelled()
    gate.touch()
    assert (await rendering).frames == 4


async def test_a_child_that_ignores_cancel_is_killed_without_blaming_other_orders(
    make_engine: MakeEngine, make_order: MakeOrder
) -> None:
    engine, listener = make_engine(timeouts=Timeouts(cancel=0.5)), ProgressRecorder()
    hanging = start_render(engine, make_order("hang"), listener)
    await wait_for_event(listener.stepped)
    waiting = start_render(engine, make_order(label="2"))
    await asyncio.sleep(0)
    hanging.cancel()
    await asyncio.wait({hanging}, timeout=TIMEOUT)
    assert hanging.cancelled()
    other_error = await error_of(waiting)
    assert isinstance(other_error, EngineDied)
    assert not other_error.guilty


@pytest.mark.parametrize("kind", ["lines", "endless"])
async def test_a_child_that_sends_invalid_lines_is_replaced(
    make_engine: MakeEngine, make_order: MakeOrder, kind: str
) -> None:
    engine = make_engine(command=(sys.executable, "-m", "tests.generation.engines.local.fake_child", kind))
    error = await error_of(start_render(engine, make_order()))
    assert isinstance(error, EngineDied)
    assert engine.pid is None


async def test_a_child_that_asks_for_a_restart_is_replaced_between_orders(
    make_engine: MakeEngine, make_order: MakeOrder
) -> None:
    """A child asks for a restart when a model did not release its memory."""
    engine = make_engine(
        command=(sys.executable, "-m", "tests.generation.engines.local.fake_child", "needs_restart")
    )
    pids = [(await engine.render(make_order(label=label), ignore_progress)).size for label in "123"]
    assert len(set(pids)) == 3


async def test_a_command_that_cannot_start_raises_engine_died(
    make_engine: MakeEngine, make_order: MakeOrder
) -> None:
    for command in (("/nowhere/python",), (sys.executable, "-c", "raise SystemExit('no')")):
        engine = make_engine(command=command)
        error = await error_of(start_render(engine, make_order()))
        assert isinstance(error, EngineDied)
        assert not error.guilty


async def test_the_next_frames_are_generated_while_the_last_clip_is_encoded(
    make_engine: MakeEngine, make_order: MakeOrder
) -> None:
    """The second order generates frames before the first, which is slow to encode, is done."""
    engine, events = make_engine(), list[str]()

    async def run(label: str, **changes: Any) -> None:
        await engine.render(
            make_order(label=label, **changes), lambda p: events.append(f"{label} {p.stage.value} {p.done}")
        )
        events.append(f"{label} done")

    await engine.open()
    await asyncio.gather(run("1", frames=900), run("2"))
    assert events.index("2 painting 1") < events.index("1 done")
    last_of_first = max(i for i, event in enumerate(events) if event.startswith("1 painting"))
    assert last_of_first < events.index("2 painting 1")


async def test_closing_ends_every_render_and_refuses_more(
    make_engine: MakeEngine, make_order: MakeOrder, tmp_path: Path
) -> None:
    engine, listener = make_engine(), ProgressRecorder()
    task = start_render(engine, make_order(f"gate:{tmp_path / 'never'}"), listener)
    await wait_for_event(listener.stepped)
    await engine.close()
    error = await error_of(task)
    assert isinstance(error, EngineDied)
    assert not error.guilty
    with pytest.raises(EngineDied):
        await engine.render(make_order(label="2"), ignore_progress)


async def test_processes_started_by_the_child_end_with_it(
    make_engine: MakeEngine, make_order: MakeOrder
) -> None:
    engine = make_engine()
    await engine.render(make_order("orphan"), ignore_progress)
    session = engine.pid
    assert session is not None
    assert len(session_members(session)) == 2
    os.kill(session, signal.SIGKILL)
    assert isinstance(await error_of(start_render(engine, make_order(label="2"))), EngineDied)
    assert session_members(session) == []


async def test_a_running_ffmpeg_ends_with_its_child(
    make_engine: MakeEngine, make_order: MakeOrder, tmp_path: Path
) -> None:
    started, ffmpeg = tmp_path / "started", tmp_path / "ffmpeg"
    os.mkfifo(started)
    ffmpeg.write_text(
        f'#!/bin/sh\ncase "$*" in *-version*|*-encoders*) exec {find().path} "$@";; esac\n'
        f"echo $$ > {started}\nexec sleep 1000\n"
    )
    ffmpeg.chmod(0o755)
    engine = make_engine(ffmpeg=str(ffmpeg))
    encoding = start_render(engine, make_order())
    ffmpeg_pid = int(await asyncio.wait_for(asyncio.to_thread(started.read_text), TIMEOUT))
    session = engine.pid
    assert session is not None
    assert (os.getpgid(ffmpeg_pid), os.getsid(ffmpeg_pid)) == (ffmpeg_pid, session)
    os.kill(session, signal.SIGKILL)
    assert isinstance(await error_of(encoding), EngineDied)
    assert session_members(session) == []


PARENT = """
import asyncio, sys
from pathlib import Path
from generation.order import Order
from generation.engines.local.engine import LocalEngine
from generation.engines.local.protocol import EngineSetup
import json
async def main():
    order = Order.from_json(json.loads(sys.argv[1]))
    engine = LocalEngine(EngineSetup(plugins=("tests.generation.engines.local.faulty_model",), nice=0))
    await engine.render(order, lambda p: print(engine.pid, p.done, flush=True))
asyncio.run(main())
"""


@pytest.mark.parametrize("stopped", [False, True])
async def test_no_child_outlives_a_killed_parent(make_order: MakeOrder, *, stopped: bool) -> None:
    order = json.dumps(make_order("hang").to_json())
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, order, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": "."}
    )
    assert parent.stdout is not None
    child = psutil.Process(int((await asyncio.wait_for(parent.stdout.readline(), TIMEOUT)).split()[0]))
    if stopped:
        child.suspend()
    parent.kill()
    await parent.wait()
    await asyncio.to_thread(child.wait, TIMEOUT)


async def test_killing_the_child_at_random_loses_no_order(
    make_engine: MakeEngine, make_order: MakeOrder
) -> None:
    """A caller that retries after EngineDied gets every clip."""
    engine, rng, kills = make_engine(), random.Random(5), 6
    killed = progress_count = 0

    async def render_until_done(label: str) -> Clip:
        while True:
            try:
                return await engine.render(make_order(label=label, steps=rng.randint(1, 30)), kill_sometimes)
            except EngineDied:
                continue

    def kill_sometimes(_: Progress) -> None:
        nonlocal killed, progress_count
        progress_count += 1
        if killed < kills and progress_count > 13 * (killed + 1) and engine.pid is not None:
            killed += 1
            os.kill(engine.pid, signal.SIGKILL)

    queue = [f"{n}" for n in range(14)]

    async def slot() -> list[Clip]:
        return [await render_until_done(queue.pop(0)) for _ in range(len(queue)) if queue]

    clips = [clip for batch in await asyncio.gather(slot(), slot()) for clip in batch]
    assert killed == kills
    assert len({clip.path for clip in clips}) == 14
    assert all(clip.path.stat().st_size == clip.size for clip in clips)


async def test_loading_weights_may_take_longer_than_a_step(
    make_engine: MakeEngine, make_order: MakeOrder
) -> None:
    engine = make_engine(heartbeat=0.5, timeouts=Timeouts(stall=4.0, load=60.0))
    clip = await engine.render(make_order(options={"slow": 6.0}), ignore_progress)
    assert clip.frames == 4
