"""A running app for tests: the real studio, store, worker and delivery with a fake engine and frontend."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bot.domain.events import EventBus
from bot.domain.jobs import Job, JobState
from bot.domain.operator import OperatorPolicy
from bot.domain.quota import Allowance, Caps, Tier, UploadLimits
from bot.moderation.prompt_policy import PromptPolicy
from bot.pipeline.delivery import Delivery, InspectClip
from bot.pipeline.worker import Worker
from bot.runtime import frontend_registry
from bot.runtime.composition import App, compose
from bot.runtime.settings import config_folder
from bot.store.store import Store
from bot.studio.catalog import Catalog
from bot.studio.studio import Studio, Submission
from generation.clip import Clip
from generation.engines.engine import Engine
from generation.models.common.preset import Preset, read_presets
from generation.music.common.genre_tables import read_genres
from tests.factories import make_reply_to, make_viewer, make_wish
from tests.fakes.engine import FakeEngine
from tests.fakes.frontend import FakeFrontend
from tests.fakes.noon_timezone import noon_timezone

CREDITS = 6
SHUTDOWN_SECONDS = 3.0
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
    studio: Studio
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
            make_viewer(user),
            make_reply_to(limit=limit),
            idempotency_key=idempotency_key,
        )

    async def engine_label(self, job: int) -> str:
        """The label of the order with which the engine renders the job, once it does."""
        return await wait_until(
            lambda: next((name for name in self.engine.unfinished() if name.startswith(f"{job}.")), None)
        )

    async def wait_for_state(self, job: int, *states: JobState) -> Job:
        return await wait_for_state(self.store, job, *states)


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


async def wait_for_state(store: Store, job: int, *states: JobState, seconds: float = 20) -> Job:
    """Return the job once it is in one of these states."""

    async def look() -> Job | None:
        found = await store.job(job)
        return found if found.state in states else None

    return await wait_until_async(look, seconds)


@asynccontextmanager
async def open_app(
    folder: Path,
    *,
    engine: Engine | None = None,
    chat: FakeFrontend | None = None,
    credits_: int = CREDITS,
    default_model: str = "testcard",
    presets: Mapping[str, Preset] = PRESETS,
    makers: tuple[str, ...] = (),
    min_free_disk: int = 0,
    inspect: Callable[[Store], InspectClip] | None = None,
    uploads: UploadLimits | None = None,
    tiers: tuple[Tier, ...] = (),
    **options: Any,
) -> AsyncIterator[App]:
    """All parts around a real store, with one chat; nothing runs. `options` go to `compose`."""
    frontend = chat or FakeFrontend()
    options.setdefault("frontend_factories", {"fake": lambda _: frontend})
    store = await Store.open(folder)
    try:
        yield compose(
            store=store,
            engine=engine or FakeEngine(manual=True),
            operator_policy=OperatorPolicy(
                allowance=Allowance(credits=credits_, zone=noon_timezone()),
                caps=Caps(person=max(4, credits_), all=max(20, credits_)),
                data_folder=folder,
                min_free_disk=min_free_disk,
                platforms=frontend_registry.shipped().platforms,
                local_platforms=frozenset({"fake"}),
                uploads=uploads or UploadLimits(),
                tiers=tiers,
            ),
            catalog=Catalog(
                presets=presets,
                genres=GENRES,
                default_model=default_model,
                default_maker="band",
                makers=makers,
            ),
            prompt_policy=POLICY,
            fit=fit_unchanged,
            inspect=inspect(store) if inspect else None,
            retry_delays=(0.0,),
            **options,
        )
    finally:
        await store.close()


@asynccontextmanager
async def open_studio(folder: Path, **options: Any) -> AsyncIterator[tuple[Store, Studio, EventBus]]:
    """The store, the studio and their events; `options` as for `open_app`."""
    async with open_app(folder, **options) as app:
        yield app.store, app.studio, app.events


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
async def serving(app: App) -> AsyncIterator[None]:
    """Run the app meanwhile. At the end, a send that waits longer, as for a flood limit, is abandoned."""
    task = asyncio.create_task(app.serve())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=SHUTDOWN_SECONDS)
        for _, send in app.delivery._sends.values():  # as when the process ends; there is no public way
            send.cancel()
        with suppress(asyncio.CancelledError):
            await task


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
    async with open_app(
        folder, engine=engine, chat=chat, default_model=default_model, inspect=inspect
    ) as app:
        await app.store.recover({"fake"} if deduplicates else set())
        async with running_tasks(app.worker.run(), app.delivery.run()):
            yield AppHarness(app.studio, app.store, engine, chat, app.events, app.worker, app.delivery)
