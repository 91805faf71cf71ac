"""The engine's child may do its worst: every order gets its answer, and nothing is left running."""

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
from generation.engines.engine import Order
from generation.engines.local.engine import ChildEngine, Patience
from generation.engines.local.process_group import members
from generation.errors import EngineDied, EngineStuck, ModelBroken, PaintFailed
from generation.media.ffmpeg import find

from .conftest import Listener, Make

Ordering = Callable[..., Order]
PATIENT = 60.0


def quiet(_: Progress) -> None: ...


def start(
    engine: ChildEngine, order: Order, on_progress: Callable[[Progress], None] = quiet
) -> asyncio.Task[Clip]:
    return asyncio.create_task(engine.render(order, on_progress))


async def until(event: asyncio.Event) -> None:
    await asyncio.wait_for(event.wait(), PATIENT)


async def failure(task: asyncio.Task[Clip]) -> BaseException:
    await asyncio.wait({task}, timeout=PATIENT)
    error = task.exception()
    assert error is not None
    return error


async def test_an_order_becomes_a_clip_and_tells_how_far_it_is(make: Make, order: Ordering) -> None:
    listener = Listener()
    clip = await make().render(order(steps=3, frames=4), listener)
    assert (clip.width, clip.height, clip.frames, clip.fps) == (64, 64, 4, 8.0)
    assert clip.size == clip.path.stat().st_size > 0
    stages = [p.stage for p in listener.heard]
    assert stages.index(Stage.PAINTING) < stages.index(Stage.ENCODING)
    painted = [p.done for p in listener.heard if p.stage is Stage.PAINTING]
    assert painted == sorted(painted)
    assert painted[-1] == 3


async def test_the_model_stays_between_orders(make: Make, order: Ordering, tmp_path: Path) -> None:
    engine, loads = make(), tmp_path / "loads"
    for label in "123":
        await engine.render(order(label=label, options={"loads": str(loads)}), quiet)
    assert loads.read_text().splitlines() == ["trouble"]


async def test_a_library_that_prints_harms_nothing(make: Make, order: Ordering) -> None:
    clip = await make().render(order("print:500"), quiet)
    assert clip.frames == 4


async def test_an_exception_is_told_with_its_traceback_for_the_log(make: Make, order: Ordering) -> None:
    engine = make()
    error = await failure(start(engine, order("raise:oh dear")))
    assert isinstance(error, PaintFailed)
    assert "LookupError" in error.reason
    assert "do_raise" in "".join(error.__notes__)
    pid = engine.pid
    await engine.render(order(label="2"), quiet)
    assert engine.pid == pid


async def test_an_unknown_family_is_told(make: Make, order: Ordering) -> None:
    assert isinstance(await failure(start(make(), order(family="nobody"))), ModelBroken)


@pytest.mark.parametrize("end", ["exit:0", "exit:3", "segfault"])
async def test_a_death_is_told_and_the_next_order_finds_a_new_child(
    make: Make, order: Ordering, end: str
) -> None:
    engine = make()
    error = await failure(start(engine, order(end)))
    assert isinstance(error, EngineDied)
    assert error.guilty
    if end == "segfault":
        assert "Segmentation fault" in error.detail
    assert (await engine.render(order(label="2"), quiet)).frames == 4


async def test_who_only_waited_is_innocent_of_a_death(make: Make, order: Ordering, tmp_path: Path) -> None:
    engine, listener = make(), Listener()
    painting = start(engine, order(f"gate:{tmp_path / 'never'}"), listener)
    await until(listener.stepped)
    waiting = start(engine, order(label="2"))
    await asyncio.sleep(0)
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)
    errors = [await failure(task) for task in (painting, waiting)]
    assert [isinstance(e, EngineDied) and e.guilty for e in errors] == [True, False]


@pytest.mark.parametrize(("at", "guilty"), [("brush", [False, True]), ("music", [True, True])])
async def test_who_handed_the_brush_on_is_innocent_unless_its_music_is_still_made(
    make: Make, order: Ordering, at: str, guilty: list[bool]
) -> None:
    engine = make(command=(sys.executable, "-m", "tests.generation.engines.local.fake_child", at))
    errors = [await failure(task) for task in [start(engine, order(label=label)) for label in "12"]]
    assert [isinstance(e, EngineDied) and e.guilty for e in errors] == guilty


async def test_a_hang_is_found_and_only_the_one_that_hangs_is_blamed(make: Make, order: Ordering) -> None:
    engine = make(beat=0.5, patience=Patience(stall=2.0, pauses=(0.0,)))
    listener = Listener()
    hanging = start(engine, order("hang"), listener)
    await until(listener.began)
    waiting = start(engine, order(label="2"))
    error = await failure(hanging)
    assert isinstance(error, EngineStuck)
    innocent = await failure(waiting)
    assert isinstance(innocent, EngineDied)
    assert not innocent.guilty
    assert (await engine.render(order(label="3"), quiet)).frames == 4


async def test_a_stopped_child_is_missed_by_its_heart(make: Make, order: Ordering, tmp_path: Path) -> None:
    engine, listener = make(beat=0.5), Listener()
    task = start(engine, order(f"gate:{tmp_path / 'never'}"), listener)
    await until(listener.stepped)
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGSTOP)
    error = await failure(task)
    assert isinstance(error, EngineDied)
    assert "sign of life" in error.detail


async def test_what_we_slept_through_ourselves_is_no_fault_of_the_child(
    make: Make, order: Ordering, tmp_path: Path
) -> None:
    """A machine that was suspended, a loop that was held up: the beats of that time lie unread."""
    engine, listener, gate = make(beat=0.5, patience=Patience(stall=5.0)), Listener(), tmp_path / "gate"
    task = start(engine, order(f"gate:{gate}"), listener)
    await until(listener.stepped)
    for _ in range(3):
        time.sleep(2.5)  # noqa: ASYNC251  (to hold the loop up is the point)
        await asyncio.sleep(0.05)
    gate.touch()
    assert (await task).frames == 4


async def test_a_render_that_takes_too_long_is_ended(make: Make, order: Ordering, tmp_path: Path) -> None:
    engine = make(beat=0.5, patience=Patience(total=1.0))
    assert isinstance(await failure(start(engine, order(f"gate:{tmp_path / 'never'}"))), EngineStuck)


async def test_cancel_is_heeded_and_the_same_child_goes_on(
    make: Make, order: Ordering, tmp_path: Path
) -> None:
    engine, listener = make(), Listener()
    wanted = order(f"gate:{tmp_path / 'never'}")
    task = start(engine, wanted, listener)
    await until(listener.stepped)
    pid = engine.pid
    task.cancel()
    await asyncio.wait({task}, timeout=PATIENT)
    assert task.cancelled()
    assert list(wanted.folder.iterdir()) == []
    await engine.render(order(label="2"), quiet)
    assert engine.pid == pid


async def test_a_waiting_order_can_be_cancelled_too(make: Make, order: Ordering, tmp_path: Path) -> None:
    engine, listener, gate = make(), Listener(), tmp_path / "gate"
    painting = start(engine, order(f"gate:{gate}"), listener)
    await until(listener.stepped)
    waiting = start(engine, order(label="2"))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting}, timeout=PATIENT)
    assert waiting.cancelled()
    gate.touch()
    assert (await painting).frames == 4


async def test_who_will_not_cancel_is_ended_at_no_fault_of_others(make: Make, order: Ordering) -> None:
    engine, listener = make(patience=Patience(cancel=0.5)), Listener()
    hanging = start(engine, order("hang"), listener)
    await until(listener.stepped)
    waiting = start(engine, order(label="2"))
    await asyncio.sleep(0)
    hanging.cancel()
    await asyncio.wait({hanging}, timeout=PATIENT)
    assert hanging.cancelled()
    innocent = await failure(waiting)
    assert isinstance(innocent, EngineDied)
    assert not innocent.guilty


@pytest.mark.parametrize("kind", ["lines", "endless"])
async def test_a_child_that_talks_rubbish_is_replaced(make: Make, order: Ordering, kind: str) -> None:
    engine = make(command=(sys.executable, "-m", "tests.generation.engines.local.fake_child", kind))
    error = await failure(start(engine, order()))
    assert isinstance(error, EngineDied)
    assert engine.pid is None


async def test_a_tired_child_is_replaced_between_orders(make: Make, order: Ordering) -> None:
    """As when a model did not give its memory back."""
    engine = make(command=(sys.executable, "-m", "tests.generation.engines.local.fake_child", "tired"))
    pids = [(await engine.render(order(label=label), quiet)).size for label in "123"]
    assert len(set(pids)) == 3


async def test_a_command_that_cannot_start_is_told(make: Make, order: Ordering) -> None:
    for command in (("/nowhere/python",), (sys.executable, "-c", "raise SystemExit('no')")):
        engine = make(command=command)
        error = await failure(start(engine, order()))
        assert isinstance(error, EngineDied)
        assert not error.guilty


async def test_the_next_picture_is_painted_while_the_last_is_encoded(make: Make, order: Ordering) -> None:
    """By order of events: the second says that it paints before the first, long to encode, is done."""
    engine, events = make(), list[str]()

    async def run(label: str, **more: Any) -> None:
        await engine.render(
            order(label=label, **more), lambda p: events.append(f"{label} {p.stage.value} {p.done}")
        )
        events.append(f"{label} done")

    await engine.open()
    await asyncio.gather(run("1", frames=900), run("2"))
    assert events.index("2 painting 1") < events.index("1 done")
    painted_last = max(i for i, event in enumerate(events) if event.startswith("1 painting"))
    assert painted_last < events.index("2 painting 1")


async def test_closing_ends_every_render_and_refuses_more(
    make: Make, order: Ordering, tmp_path: Path
) -> None:
    engine, listener = make(), Listener()
    task = start(engine, order(f"gate:{tmp_path / 'never'}"), listener)
    await until(listener.stepped)
    await engine.close()
    error = await failure(task)
    assert isinstance(error, EngineDied)
    assert not error.guilty
    with pytest.raises(EngineDied):
        await engine.render(order(label="2"), quiet)


async def test_what_the_child_started_ends_with_it(make: Make, order: Ordering) -> None:
    engine = make()
    await engine.render(order("orphan"), quiet)
    session = engine.pid
    assert session is not None
    assert len(members(session)) == 2
    os.kill(session, signal.SIGKILL)
    assert isinstance(await failure(start(engine, order(label="2"))), EngineDied)
    assert members(session) == []


async def test_an_ffmpeg_at_work_ends_with_its_child(make: Make, order: Ordering, tmp_path: Path) -> None:
    begun, ffmpeg = tmp_path / "begun", tmp_path / "ffmpeg"
    os.mkfifo(begun)
    ffmpeg.write_text(
        f'#!/bin/sh\ncase "$*" in *-version*|*-encoders*) exec {find().path} "$@";; esac\n'
        f"echo $$ > {begun}\nexec sleep 1000\n"
    )
    ffmpeg.chmod(0o755)
    engine = make(ffmpeg=str(ffmpeg))
    encoding = start(engine, order())
    at_work = int(await asyncio.wait_for(asyncio.to_thread(begun.read_text), PATIENT))
    session = engine.pid
    assert session is not None
    assert (os.getpgid(at_work), os.getsid(at_work)) == (at_work, session)
    os.kill(session, signal.SIGKILL)
    assert isinstance(await failure(encoding), EngineDied)
    assert members(session) == []


PARENT = """
import asyncio, sys
from pathlib import Path
from generation.engines import Order
from generation.engines.local.engine import ChildEngine, Setup
import json
async def main():
    order = Order.from_json(json.loads(sys.argv[1]))
    engine = ChildEngine(Setup(plugins=("tests.generation.engines.local.faulty_model",), nice=0))
    await engine.render(order, lambda p: print(engine.pid, p.done, flush=True))
asyncio.run(main())
"""


@pytest.mark.parametrize("stopped", [False, True])
async def test_no_child_outlives_a_killed_parent(order: Ordering, *, stopped: bool) -> None:
    wanted = json.dumps(order("hang").to_json())
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, wanted, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": "."}
    )
    assert parent.stdout is not None
    child = psutil.Process(int((await asyncio.wait_for(parent.stdout.readline(), PATIENT)).split()[0]))
    if stopped:
        child.suspend()
    parent.kill()
    await parent.wait()
    await asyncio.to_thread(child.wait, PATIENT)


async def test_killing_the_child_at_random_loses_no_order(make: Make, order: Ordering) -> None:
    """A caller who asks again whenever the engine died gets every clip."""
    engine, chance, left = make(), random.Random(5), 6
    killed = words = 0

    async def insist(label: str) -> Clip:
        while True:
            try:
                return await engine.render(order(label=label, steps=chance.randint(1, 30)), murder)
            except EngineDied:
                continue

    def murder(_: Progress) -> None:
        nonlocal killed, words
        words += 1
        if killed < left and words > 13 * (killed + 1) and engine.pid is not None:
            killed += 1
            os.kill(engine.pid, signal.SIGKILL)

    queue = [f"{n}" for n in range(14)]

    async def slot() -> list[Clip]:
        return [await insist(queue.pop(0)) for _ in range(len(queue)) if queue]

    clips = [clip for batch in await asyncio.gather(slot(), slot()) for clip in batch]
    assert killed == left
    assert len({clip.path for clip in clips}) == 14
    assert all(clip.path.stat().st_size == clip.size for clip in clips)


async def test_loading_weights_may_take_longer_than_a_step(make: Make, order: Ordering) -> None:
    engine = make(beat=0.5, patience=Patience(stall=4.0, load=60.0))
    clip = await engine.render(order(options={"slow": 6.0}), quiet)
    assert clip.frames == 4
