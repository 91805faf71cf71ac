"""Engines with real child processes, and a check that none of them outlives its test."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from generation import Progress
from generation.engines.local.child_process import Timeouts
from generation.engines.local.engine import LocalEngine
from generation.engines.local.protocol import EngineSetup
from generation.order import Order
from tests import factories
from tests.factories import NO_MUSIC, make_preset

PLUGIN = "tests.generation.engines.local.faulty_model"
SHORT_TIMEOUTS = Timeouts(start=60, cancel=5, stall=30, close=5, restart_delays=(0.0, 0.05))
MakeEngine = Callable[..., LocalEngine]
STARTED_BY = "PYTHON_STARTED_BY_TEST"
"""A variable that the engine passes on to its processes."""


@pytest.fixture(autouse=True)
def _no_process_left() -> Iterator[None]:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    sessions = {_session(pid) for pid in before} | {None}
    yield
    leftover = [
        process.pid
        for process in psutil.process_iter()
        if process.pid not in before
        and any("generation" in argument for argument in _command_line(process))
        and _started_by_this_run(process)
        and _session(process.pid) not in sessions
    ]
    assert leftover == []


def _session(pid: int) -> int | None:
    """The session of a process, or None if it has ended."""
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _started_by_this_run(process: psutil.Process) -> bool:
    """Whether this test process started it, whatever its parent is now."""
    try:
        return process.environ().get(STARTED_BY) == str(os.getpid())
    except psutil.Error:
        return False


@pytest.fixture
async def make_engine(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MakeEngine]:
    monkeypatch.setenv(STARTED_BY, str(os.getpid()))
    engines: list[LocalEngine] = []

    def build(
        *, timeouts: Timeouts = SHORT_TIMEOUTS, heartbeat: float = 5.0, ffmpeg: str = "", **options: Any
    ) -> LocalEngine:
        setup = EngineSetup(plugins=(PLUGIN,), nice=0, heartbeat_seconds=heartbeat, ffmpeg=ffmpeg)
        engines.append(LocalEngine(setup, timeouts=timeouts, **options))
        return engines[-1]

    yield build
    for engine in engines:
        await engine.close()


@pytest.fixture
def make_order(tmp_path: Path) -> Callable[..., Order]:
    def build(prompt: str = "a clip", *, label: str = "1", steps: int = 3, **changes: Any) -> Order:
        preset = make_preset(
            "faulty", family=changes.pop("family", "faulty"), options=changes.pop("options", {})
        )
        small = {"width": 64, "height": 64, "frames": 4, "fps": 8.0, "music": NO_MUSIC}
        return factories.make_order(
            tmp_path / label, label=label, preset=preset, prompt=prompt, steps=steps, **(small | changes)
        )

    return build


class ProgressRecorder:
    """Records progress and lets a test wait for it without relying on time."""

    def __init__(self) -> None:
        self.received: list[Progress] = []
        self.started = asyncio.Event()
        self.stepped = asyncio.Event()

    def __call__(self, progress: Progress) -> None:
        self.received.append(progress)
        self.started.set()
        if len(self.received) > 1:
            self.stepped.set()


@pytest.fixture
def listener_class() -> type[ProgressRecorder]:
    return ProgressRecorder
