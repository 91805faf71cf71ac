"""A running app for tests: the real studio, store, worker and delivery with a fake engine and frontend."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bot.domain.events import EventBus
from bot.domain.jobs import Job, JobState
from bot.domain.operator import OperatorPolicy
from bot.domain.quota import Allowance, Caps
from bot.moderation.prompt_policy import PromptPolicy
from bot.pipeline.delivery import Delivery, InspectClip
from bot.pipeline.worker import Worker
from bot.runtime import frontend_registry
from bot.runtime.settings import config_folder
from bot.store.store import Store
from bot.studio.catalog import Catalog
from bot.studio.studio import Studio, Submission
from generation.clip import Clip
from generation.models.common.preset import read_presets
from generation.music.common.genre_tables import read_genres
from tests.factories import make_reply_to, make_requester, make_wish
from tests.fakes.engine import FakeEngine
from tests.fakes.frontend import FakeFrontend
from tests.fakes.noon_timezone import noon_timezone

CREDITS = 6
POLICY = PromptPolicy.from_tables(
    rules={"words": {"lists": ["operator"]}}, word_lists={}, operator_words=["forbidden"]
)
T = TypeVar("T")


def read_config_table(name: str) -> dict[str, object]:
    return tomllib.loads((config_folder() / f"{name}.toml").read_text("utf-8"))


PRESETS = read_presets(read_config_table("models"))
GENRES = read_genres(read_config_table("genres"))


async def fit_unchanged(clip: Clip, limit: int) -> Clip:
    """Returns every clip unchanged; fitting itself has its own tests."""
    del limit
    return clip


@dataclass
class AppHarness:
    studio: WaitableStudio
    store: Store
    engine: FakeEngine
    chat: FakeFrontend
    events: EventBus
    worker: Worker
    delivery: Delivery

    async def ask(
        self, user: str = "ana", prompt: str = "a fox", *, idempotency_key: str = "", limit: int = 0
    ) -> Submission:
        return await self.studio.submit(
            make_wish(prompt),
            make_requester(user),
            make_reply_to(limit=limit),
            idempotency_key=idempotency_key,
        )

    async def engine_label(self, job: int) -> str:
        """The label of the order with which the engine renders the job, once it does."""
        return await wait_until(
            lambda: next((name for name in self.engine.unfinished() if name.startswith(f"{job}.")), None)
        )

    async def wait_for_state(self, job: int, *states: JobState) -> Job:
        return await self.studio.wait_for_state(job, *states)


async def wait_until(look: Callable[[], T | None], seconds: float = 20) -> T:
    """Return the first result of `look` that is not None or false."""

    async def looking() -> T | None:
        return look()

    return await wait_until_async(looking, seconds)


async def wait_until_async(look: Callable[[], Coroutine[Any, Any, T | None]], seconds: float = 20) -> T:
    """The same for an async `look`."""
    async with asyncio.timeout(seconds):
        while not (found := await look()):  # noqa: ASYNC110  (a database sends no signal)
            await asyncio.sleep(0.001)  # the condition decides, not the pause
    return found


class WaitableStudio(Studio):
    """A studio that can wait for the state of a job."""

    async def wait_for_state(self, job: int, *states: JobState, seconds: float = 20) -> Job:
        async def look() -> Job | None:
            found = await self.job(job)
            return found if found.state in states else None

        return await wait_until_async(look, seconds)


@asynccontextmanager
async def open_studio(
    folder: Path, *, credits_: int = CREDITS, default_model: str = "testcard", min_free_disk: int = 0
) -> AsyncIterator[tuple[Store, WaitableStudio, EventBus]]:
    """The real store and studio, and their events."""
    operator_policy = OperatorPolicy(
        allowance=Allowance(credits=credits_, zone=noon_timezone()),
        caps=Caps(person=max(4, credits_), all=max(20, credits_)),
        data_folder=folder,
        min_free_disk=min_free_disk,
        platforms=frontend_registry.shipped().platforms,
    )
    store, events = await Store.open(folder), EventBus()
    studio = WaitableStudio(
        store=store,
        operator_policy=operator_policy,
        catalog=Catalog(presets=PRESETS, genres=GENRES, default_model=default_model, default_maker="band"),
        prompt_policy=POLICY,
        events=events,
    )
    try:
        yield store, studio, events
    finally:
        await store.close()


@asynccontextmanager
async def running_tasks(*loops: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(loop) for loop in loops]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def running_app(
    folder: Path,
    *,
    deduplicates: bool = False,
    slots: int = 2,
    default_model: str = "testcard",
    inspect: Callable[[Store], InspectClip] | None = None,
) -> AsyncIterator[AppHarness]:
    engine, chat = FakeEngine(slots, manual=True), FakeFrontend(deduplicates=deduplicates)
    async with open_studio(folder, default_model=default_model) as (store, studio, events):
        delivery = Delivery(
            store=store,
            frontends={"fake": chat},
            fit=fit_unchanged,
            events=events,
            presets=PRESETS,
            inspect=inspect(store) if inspect else None,
            retry_delays=(0.0,),
        )
        worker = Worker(store=store, engine=engine, presets=PRESETS, clips=folder / "clips", events=events)
        await store.recover({"fake"} if deduplicates else set())
        async with running_tasks(worker.run(), delivery.run()):
            yield AppHarness(studio, store, engine, chat, events, worker, delivery)
