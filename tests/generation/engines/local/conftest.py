"""An engine of real child processes, and a promise that none of them outlives its test."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from generation import Kind, Music, Progress, Request
from generation.engines.local.engine import LocalEngine
from generation.engines.local.process import Timeouts
from generation.engines.local.protocol import EngineSetup
from generation.models.common.preset import Preset
from generation.order import Order
from generation.request import Limits

PLUGIN = "tests.generation.engines.local.faulty_model"
SHORT_TIMEOUTS = Timeouts(start=60, cancel=5, stall=30, close=5, restart_delays=(0.0, 0.05))
MakeEngine = Callable[..., LocalEngine]


@pytest.fixture(autouse=True)
def _no_process_left() -> Iterator[None]:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    sessions = {_session(pid) for pid in before} | {None}
    yield
    left = [
        process.pid
        for process in psutil.process_iter()
        if process.pid not in before
        and any("generation" in word for word in _command_line(process))
        and _started_by_this_run(process)
        and _session(process.pid) not in sessions
    ]
    assert left == []


def _session(pid: int) -> int | None:
    """None of one that has just ended."""
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
    """Started by this very test process, whoever its parent is by now."""
    try:
        return process.environ().get("MATINEE_TEST") == str(os.getpid())
    except psutil.Error:
        return False


@pytest.fixture
async def make_engine(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MakeEngine]:
    monkeypatch.setenv("MATINEE_TEST", str(os.getpid()))
    engines: list[LocalEngine] = []

    def build(
        *, patience: Timeouts = SHORT_TIMEOUTS, beat: float = 5.0, ffmpeg: str = "", **more: Any
    ) -> LocalEngine:
        setup = EngineSetup(plugins=(PLUGIN,), nice=0, heartbeat_seconds=beat, ffmpeg=ffmpeg)
        engines.append(LocalEngine(setup, timeouts=patience, **more))
        return engines[-1]

    yield build
    for engine in engines:
        await engine.close()


@pytest.fixture
def make_order(tmp_path: Path) -> Callable[..., Order]:
    def build(prompt: str = "a clip", *, label: str = "1", steps: int = 3, **changes: Any) -> Order:
        preset = Preset(
            name="trouble",
            family=changes.pop("family", "trouble"),
            title="Trouble",
            limits=Limits(width=64, height=64),
            options=changes.pop("options", {}),
        )
        request = Request(
            prompt=prompt,
            kind=Kind.VIDEO,
            model="trouble",
            width=64,
            height=64,
            frames=changes.pop("frames", 4),
            fps=8.0,
            seed=changes.pop("seed", 1),
            steps=steps,
            guidance=1.0,
            music=Music(genre="none", maker="band"),
            **changes,
        )
        return Order(label=label, request=request, preset=preset, folder=tmp_path / label)

    return build


class ProgressRecorder:
    """Hears progress, and lets a test wait for it by what it is, not by time."""

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
