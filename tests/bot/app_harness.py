"""A whole house for tests: real studio, store, worker and delivery around the two fakes."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bot.domain.jobs import Job, ReplyTo, Requester, State
from bot.domain.quota import Allowance, Caps
from bot.moderation.prompt_policy import Policy
from bot.pipeline.delivery import Delivery, Inspect
from bot.pipeline.worker import Worker
from bot.runtime.settings import config_folder
from bot.store.store import Store
from bot.studio.studio import House, Studio, Ticket
from generation.clip import Clip
from generation.models.common.preset import read_presets
from generation.music.common.genre_tables import read_genres
from generation.request import Wish
from tests.fakes.engine import FakeEngine
from tests.fakes.frontend import FakeFrontend
from tests.fakes.noon_timezone import where_it_is_noon

CREDITS = 6
POLICY = Policy.read(rules={"words": {"lists": ["operator"]}}, words={}, operator=["forbidden"])
T = TypeVar("T")


def table(name: str) -> dict[str, object]:
    return tomllib.loads((config_folder() / f"{name}.toml").read_text("utf-8"))


PRESETS = read_presets(table("models"))
GENRES = read_genres(table("genres"))


async def halved(clip: Clip, limit: int) -> Clip:
    """Fits anything: what fitting really does is proven beside it."""
    del limit
    return clip


@dataclass
class Together:
    studio: Watched
    store: Store
    engine: FakeEngine
    chat: FakeFrontend
    worker: Worker
    delivery: Delivery

    async def ask(
        self, user: str = "ana", prompt: str = "a fox", *, update: str = "", limit: int = 0
    ) -> Ticket:
        reply_to = ReplyTo(platform="fake", chat="c", limit=limit)
        return await self.studio.submit(
            Wish(prompt=prompt, model="testcard"), who(user), reply_to, update=update
        )

    async def label(self, job: int) -> str:
        """The name under which the engine has the job, once it has."""
        return await until(
            lambda: next((name for name in self.engine.waiting() if name.startswith(f"{job}.")), None)
        )

    async def reached(self, job: int, *states: State) -> Job:
        return await self.studio.reached(job, *states)


def who(user: str, *, admin: bool = False) -> Requester:
    return Requester(platform="fake", user=user, name=user, admin=admin)


async def until(look: Callable[[], T | None], seconds: float = 20) -> T:
    """What `look` yields as soon as it yields something."""

    async def looking() -> T | None:
        return look()

    return await eventually(looking, seconds)


async def eventually(look: Callable[[], Coroutine[Any, Any, T | None]], seconds: float = 20) -> T:
    """The same for a look that takes a while."""
    async with asyncio.timeout(seconds):
        while not (found := await look()):  # noqa: ASYNC110  (it looks at a database, which rings no bell)
            await asyncio.sleep(0.001)  # the condition decides, not the pause
    return found


class Watched(Studio):
    """A studio whose jobs can be waited for."""

    async def reached(self, job: int, *states: State, seconds: float = 20) -> Job:
        async def look() -> Job | None:
            found = await self.job(job)
            return found if found.state in states else None

        return await eventually(look, seconds)


@asynccontextmanager
async def house_of(folder: Path, *, credits_: int = CREDITS) -> AsyncIterator[tuple[Store, Watched]]:
    """The real store and studio."""
    house = House(
        model="testcard",
        maker="band",
        allowance=Allowance(credits=credits_, zone=where_it_is_noon()),
        caps=Caps(person=max(4, credits_), all=max(20, credits_)),
        data=folder,
        disk_floor=0,
    )
    store = await Store.open(folder)
    try:
        yield store, Watched(store=store, house=house, presets=PRESETS, genres=GENRES, policy=POLICY)
    finally:
        await store.close()


@asynccontextmanager
async def running(*loops: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(loop) for loop in loops]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def together(
    folder: Path,
    *,
    deduplicates: bool = False,
    slots: int = 2,
    inspect: Callable[[Store], Inspect] | None = None,
) -> AsyncIterator[Together]:
    engine, chat = FakeEngine(slots), FakeFrontend(deduplicates=deduplicates)
    async with house_of(folder) as (store, studio):
        delivery = Delivery(
            store=store,
            frontends={"fake": chat},
            fit=halved,
            presets=PRESETS,
            inspect=inspect(store) if inspect else None,
            retry_after=(0.0,),
        )
        worker = Worker(
            store=store, engine=engine, presets=PRESETS, clips=folder / "clips", delivery=delivery
        )
        studio.on_work, studio.on_cancel, studio.on_rendered = worker.ring, worker.stop, delivery.ring
        studio.on_ended = delivery.ended
        await store.recover({"fake"} if deduplicates else set())
        async with running(worker.run(), delivery.run()):
            yield Together(studio, store, engine, chat, worker, delivery)
