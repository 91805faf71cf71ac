"""The run loop: dead frontends are restarted, an error in a service ends the run, both are reported."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.cli.commands import error_to_report
from bot.domain.errors import Crashed, StoreFailed
from bot.maintenance.health import find_problems
from bot.maintenance.heartbeat import HealthState, Heartbeat
from bot.maintenance.monitor import Monitor
from bot.pipeline.worker import Worker
from bot.runtime.composition import App
from bot.runtime.supervisor import Supervisor, Timeouts
from generation.errors import EngineDied
from tests.bot.app_harness import PRESETS, open_app, wait_until
from tests.fakes.engine import FakeEngine
from tests.fakes.frontend import FakeFrontend

SHORT_TIMEOUTS = Timeouts(engine=1.0, service=30.0, chat=0.05, poll=0.01, restart_delays=(1.0,))


class ControllableFrontend(FakeFrontend):
    """A frontend that dies, ends or loses its connection when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: asyncio.Queue[Exception | None] = asyncio.Queue()
        self.connected = True

    async def run(self) -> None:
        error = await self.outcomes.get()
        if error is not None:
            raise error

    def is_connected(self) -> bool:
        return self.connected


class CrashingWorker(Worker):
    async def run(self) -> None:
        raise ZeroDivisionError


@dataclass
class SupervisedHarness:
    app: App
    engine: FakeEngine
    folder: Path

    def chat(self, name: str) -> ControllableFrontend:
        chat = self.app.frontends[name]
        assert isinstance(chat, ControllableFrontend)
        return chat

    async def wait_for_health(self, part: str, state: HealthState) -> str:
        """Return the reason in the health report once the part is in this state."""

        def look() -> str | None:
            heartbeat = Heartbeat.read(self.folder)
            if heartbeat is None:
                return None
            found = {one.part: one for one in find_problems(heartbeat, monotonic_now=heartbeat.steady)}
            if part not in found:
                return "healthy" if state is HealthState.HEALTHY and part in heartbeat.parts else None
            return found[part].why if found[part].life is state else None

        return await wait_until(look)


@asynccontextmanager
async def supervised_app(
    folder: Path, *names: str
) -> AsyncIterator[tuple[SupervisedHarness, asyncio.Task[None]]]:
    engine = FakeEngine()
    factories = {name: lambda _: ControllableFrontend() for name in names}
    async with open_app(folder, engine=engine, frontend_factories=factories) as app:
        supervisor = Supervisor(app, Monitor(folder, interval=0.01), SHORT_TIMEOUTS)
        serving = asyncio.create_task(supervisor.serve())
        try:
            yield SupervisedHarness(app, engine, folder), serving
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)


async def test_a_crashed_frontend_restarts_and_the_other_is_unaffected(tmp_path: Path) -> None:
    async with supervised_app(tmp_path, "one", "two") as (app, _):
        await app.wait_for_health("one", HealthState.HEALTHY)
        first, other = app.chat("one"), app.chat("two")
        first.outcomes.put_nowait(ZeroDivisionError())
        assert await app.wait_for_health("one", HealthState.DEAD) == "ZeroDivisionError"
        await app.wait_for_health("one", HealthState.HEALTHY)
        assert app.chat("one") is not first
        assert app.chat("two") is other


async def test_it_stops_when_every_frontend_has_ended(tmp_path: Path) -> None:
    async with supervised_app(tmp_path, "one", "two") as (app, serving):
        app.chat("one").outcomes.put_nowait(None)
        assert await app.wait_for_health("one", HealthState.DEAD) == "it ended by itself"
        assert not serving.done()
        app.chat("two").outcomes.put_nowait(None)
        await asyncio.wait_for(serving, 20)


async def test_an_unreachable_platform_is_not_a_dead_frontend(tmp_path: Path) -> None:
    async with supervised_app(tmp_path, "one") as (app, _):
        app.chat("one").connected = False
        assert "out of reach" in await app.wait_for_health("one", HealthState.UNREACHABLE)
        app.chat("one").connected = True
        await app.wait_for_health("one", HealthState.HEALTHY)


async def test_an_engine_is_restarted_and_a_failed_start_is_explained(tmp_path: Path) -> None:
    async with supervised_app(tmp_path, "one") as (app, _):
        app.engine.silent_for = 5.0
        await app.wait_for_health("engine", HealthState.STUCK)
        app.engine.error_on_open, app.engine.silent_for = EngineDied("no such program", guilty=False), None
        assert await app.wait_for_health("engine", HealthState.DEAD)
        await wait_until(lambda: app.engine.starts > 1 or None)
        app.engine.error_on_open = None
        await app.wait_for_health("engine", HealthState.HEALTHY)


async def test_a_crashed_core_task_ends_the_process_with_a_code(tmp_path: Path) -> None:
    async with open_app(tmp_path) as app:
        app.worker = CrashingWorker(
            store=app.store, engine=app.engine, presets=PRESETS, clips=tmp_path, events=app.events
        )
        supervisor = Supervisor(app, Monitor(tmp_path, interval=0.01), SHORT_TIMEOUTS)
        with pytest.raises(ExceptionGroup) as died:
            await asyncio.wait_for(supervisor.serve(), 20)
    assert isinstance(error_to_report(died.value), Crashed)


def test_the_explainable_error_is_found_in_a_group() -> None:
    disk = StoreFailed("matinee.db", "disk I/O error")
    assert error_to_report(ExceptionGroup("", [ZeroDivisionError(), ExceptionGroup("", [disk])])) is disk
