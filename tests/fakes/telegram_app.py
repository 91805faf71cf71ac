"""The whole application with a Telegram frontend. Only the engine is fake: its clips are a few bytes."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from msgspec import structs

from bot.domain.jobs import Job
from bot.domain.operator import OperatorPolicy
from bot.domain.quota import Allowance, Caps
from bot.frontends.telegram.frontend import Options, Telegram
from bot.moderation.prompt_policy import PromptPolicy
from bot.pipeline.delivery import InspectClip
from bot.runtime import frontend_registry
from bot.runtime.composition import compose
from bot.runtime.settings import config_folder
from bot.store.store import Store
from bot.studio.catalog import Catalog
from bot.studio.studio import Studio
from generation.clip import Clip
from generation.models.common.preset import Preset, read_presets
from generation.music.common.genre_tables import Genre, read_genres
from generation.request import Kind
from tests.bot.app_harness import serving, wait_until_async
from tests.fakes.engine import FakeEngine
from tests.fakes.noon_timezone import noon_timezone

DEDUPLICATING_PLATFORMS = frozenset[str]()
"""Telegram does not deduplicate sends, so no platform is listed."""


async def truncate_clip(clip: Clip, limit: int) -> Clip:
    """Cut the file to `limit` bytes, so that a test sees that it was called."""
    smaller = clip.path.with_name(f"fits-{limit}.mp4")
    smaller.write_bytes(clip.path.read_bytes()[:limit])
    return structs.replace(clip, path=smaller, size=limit)


class ObservedTelegram(Telegram):
    """A Telegram frontend that lets tests wait until a delivery is recorded."""

    def __init__(self, studio: Studio, options: Options) -> None:
        super().__init__(studio, options)
        self._button_handler.spinner_timeout = 20.0  # a slow test machine must not change the outcome
        self.delivered_jobs: set[int] = set()
        self.delivery_recorded = asyncio.Condition()

    def deliver_as_new_message(self) -> None:
        """From now on send every clip as a new message, as after a long wait."""
        self._clip_sender.clock = lambda: 2e9

    async def after_delivery(self, job: Job) -> None:
        await super().after_delivery(job)
        async with self.delivery_recorded:
            self.delivered_jobs.add(job.id)
            self.delivery_recorded.notify_all()

    async def until_delivered(self, job: int) -> None:
        async with asyncio.timeout(20), self.delivery_recorded:
            await self.delivery_recorded.wait_for(lambda: job in self.delivered_jobs)


@dataclass
class TelegramApp:
    studio: Studio
    store: Store
    engine: FakeEngine
    telegram: ObservedTelegram

    async def wait_until_rendered(self, job: int) -> None:
        """Wait until the job's clip is written and recorded."""

        async def look() -> bool:
            return (await self.store.job(job)).clip is not None

        await wait_until_async(look)


def presets() -> dict[str, Preset]:
    limits = {
        "width": 64, "height": 64, "min_side": 32, "seconds": 2.0, "fps": 8.0,
        "aspects": {"1:1": [64, 64], "16:9": [128, 64], "9:16": [64, 128]},
        "kinds": [kind.value for kind in Kind],
    }  # fmt: skip
    pocket = tomllib.loads((config_folder() / "models.toml").read_text("utf-8"))["pocket"]
    tiny = {"family": "testcard", "title": "Tiny", "limits": limits}
    return read_presets({"tiny": tiny, "pocket": pocket})


def one_rule_policy() -> PromptPolicy:
    """A policy with one rule, which refuses the word "forbidden"."""
    return PromptPolicy.from_tables(
        rules={"operator": {"lists": ["operator"]}}, word_lists={}, operator_words=["forbidden"]
    )


def genres() -> dict[str, Genre]:
    return read_genres(tomllib.loads((config_folder() / "genres.toml").read_text("utf-8")))


@asynccontextmanager
async def running_app(
    folder: Path,
    options: Options,
    *,
    credits_: int = 1000,
    engine: FakeEngine | None = None,
    policy: PromptPolicy | None = None,
    pools: Mapping[str, int] | None = None,
    inspect: Callable[[Store], InspectClip] | None = None,
) -> AsyncIterator[TelegramApp]:
    """Run the whole application as `matinee run` does; on exit stop it as Ctrl-C does."""
    engine = engine or FakeEngine(poster=b"a small picture")
    store = await Store.open(folder)
    recovered = await store.recover(DEDUPLICATING_PLATFORMS)
    app = compose(
        store=store,
        engine=engine,
        frontend_factories={"telegram": lambda studio: ObservedTelegram(studio, options)},
        operator_policy=OperatorPolicy(
            allowance=Allowance(credits=credits_, zone=noon_timezone()),
            caps=Caps(person=500, community=500, all=1000),
            data_folder=folder,
            min_free_disk=0,
            pools=pools or {},
            platforms=frontend_registry.shipped().platforms,
        ),
        catalog=Catalog(presets=presets(), genres=genres(), default_model="tiny", default_maker="band"),
        prompt_policy=policy or one_rule_policy(),
        fit=truncate_clip,
        inspect=inspect(store) if inspect else None,
    )
    telegram = app.frontends["telegram"]
    assert isinstance(telegram, ObservedTelegram)
    try:
        async with serving(app):
            for job in recovered.uncertain:
                app.delivery.show_final_status(await store.job(job))
            await telegram.ready.wait()
            yield TelegramApp(app.studio, store, engine, telegram)
    finally:
        await store.close()
