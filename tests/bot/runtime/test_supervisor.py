"""What `run` keeps alive: a chat that dies comes back, a room that dies ends it all, and each is seen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bot.cli.commands import told_in
from bot.domain.errors import Died, StoreFailed
from bot.maintenance.health import judge
from bot.maintenance.heartbeat import Life, Pulse
from bot.maintenance.monitor import Monitor
from bot.maintenance.retention import Sweeper
from bot.pipeline.delivery import Frontend
from bot.pipeline.worker import Worker
from bot.runtime.supervisor import Patience, Supervisor
from generation.errors import EngineDied
from tests.bot.app_harness import PRESETS, Together, together, until
from tests.fakes.frontend import FakeFrontend

QUICK = Patience(engine=1.0, room=30.0, chat=0.05, look=0.01, pauses=(1.0,))


class Moody(FakeFrontend):
    """Does as it is told: dies, ends, or loses its platform."""

    def __init__(self) -> None:
        super().__init__()
        self.orders: asyncio.Queue[Exception | None] = asyncio.Queue()
        self.there = True

    async def run(self) -> None:
        error = await self.orders.get()
        if error is not None:
            raise error

    def reached(self) -> bool:
        return self.there


@dataclass
class Motor:
    """As much of an engine as can be looked at."""

    silent_for: float | None = 0.0
    refuses: bool = False
    opened: int = 0

    async def open(self) -> None:
        self.opened += 1
        if self.refuses:
            raise EngineDied("no such program", guilty=False)
        self.silent_for = 0.0


class Broken(Worker):
    async def run(self) -> None:
        raise ZeroDivisionError


@dataclass
class Kept:
    house: Together
    folder: Path
    engine: Motor
    worker: Worker
    frontends: dict[str, Frontend] = field(default_factory=dict)

    @property
    def delivery(self) -> object:
        return self.house.delivery

    @property
    def sweeper(self) -> Sweeper:
        return Sweeper(store=self.house.store, clips=self.folder, keep_days=0)

    def make_chat(self, name: str) -> None:
        self.frontends[name] = Moody()

    def chat(self, name: str) -> Moody:
        chat = self.frontends[name]
        assert isinstance(chat, Moody)
        return chat

    async def seen(self, part: str, life: Life) -> str:
        """What health says of it, as soon as it says this."""

        def look() -> str | None:
            pulse = Pulse.read(self.folder)
            if pulse is None:
                return None
            found = {one.part: one for one in judge(pulse, steady=pulse.steady)}
            if part not in found:
                return "well" if life is Life.WELL and part in pulse.parts else None
            return found[part].why if found[part].life is life else None

        return await until(look)


@asynccontextmanager
async def kept(folder: Path, *names: str) -> AsyncIterator[tuple[Kept, asyncio.Task[None]]]:
    async with together(folder) as house:
        app = Kept(house, folder, Motor(), house.worker)
        for name in names:
            app.make_chat(name)
        serving = asyncio.create_task(Supervisor(app, Monitor(folder, every=0.01), QUICK).serve())  # type: ignore[arg-type]  # a house in parts
        try:
            yield app, serving
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)


async def test_a_chat_that_dies_comes_back_and_the_other_never_notices(tmp_path: Path) -> None:
    async with kept(tmp_path, "one", "two") as (app, _):
        await app.seen("one", Life.WELL)
        first, other = app.chat("one"), app.chat("two")
        first.orders.put_nowait(ZeroDivisionError())
        assert await app.seen("one", Life.DEAD) == "ZeroDivisionError"
        await app.seen("one", Life.WELL)
        assert app.chat("one") is not first
        assert app.chat("two") is other


async def test_when_every_chat_has_ended_by_itself_it_is_over(tmp_path: Path) -> None:
    async with kept(tmp_path, "one", "two") as (app, serving):
        app.chat("one").orders.put_nowait(None)
        assert await app.seen("one", Life.DEAD) == "it ended by itself"
        assert not serving.done()
        app.chat("two").orders.put_nowait(None)
        await asyncio.wait_for(serving, 20)


async def test_a_platform_out_of_reach_is_told_apart_from_a_dead_chat(tmp_path: Path) -> None:
    async with kept(tmp_path, "one") as (app, _):
        app.chat("one").there = False
        assert "out of reach" in await app.seen("one", Life.LOST)
        app.chat("one").there = True
        await app.seen("one", Life.WELL)


async def test_an_engine_is_brought_back_and_one_that_will_not_start_says_why(tmp_path: Path) -> None:
    async with kept(tmp_path, "one") as (app, _):
        app.engine.silent_for = 5.0
        await app.seen("engine", Life.STUCK)
        app.engine.refuses, app.engine.silent_for = True, None
        assert await app.seen("engine", Life.DEAD)
        await until(lambda: app.engine.opened > 1 or None)
        app.engine.refuses = False
        await app.seen("engine", Life.WELL)


async def test_a_room_that_dies_ends_it_all_with_a_code(tmp_path: Path) -> None:
    async with together(tmp_path) as house:
        worker = Broken(
            store=house.store, engine=house.engine, presets=PRESETS, clips=tmp_path, delivery=house.delivery
        )
        app = Kept(house, tmp_path, Motor(), worker)
        app.make_chat("one")
        supervisor = Supervisor(app, Monitor(tmp_path, every=0.01), QUICK)  # type: ignore[arg-type]  # as above
        with pytest.raises(ExceptionGroup) as died:
            await asyncio.wait_for(supervisor.serve(), 20)
    assert isinstance(told_in(died.value), Died)


def test_what_can_be_told_of_a_death_is() -> None:
    disk = StoreFailed("matinee.db", "disk I/O error")
    assert told_in(ExceptionGroup("", [ZeroDivisionError(), ExceptionGroup("", [disk])])) is disk
