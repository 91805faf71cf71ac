"""The whole studio behind a Telegram frontend, real but for the engine, whose clips are a few bytes."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from msgspec import structs

from bot.domain.jobs import Job
from bot.domain.quota import Allowance, Caps
from bot.frontends.telegram.frontend import Options, Telegram
from bot.moderation.admin_notices import Notices
from bot.moderation.prompt_policy import Policy
from bot.pipeline.delivery import Delivery, Inspect
from bot.pipeline.worker import Worker
from bot.runtime.settings import config_folder
from bot.store.store import Store
from bot.studio.studio import House, Studio
from generation.clip import Clip
from generation.engines.engine import Order
from generation.errors import PaintFailed
from generation.models.common.preset import Preset, read_presets
from generation.music.common.genre_tables import Genre, read_genres
from generation.progress import OnProgress, Progress, Stage
from generation.request import Kind
from tests.fakes.noon_timezone import where_it_is_noon

PLATFORMS = frozenset[str]()
"""None of the chats here shows one nonce once."""


@dataclass
class Atelier:
    """An engine of the simplest kind: every clip says which order it is, and waits while `gate` is shut."""

    slots: int = 2
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    broken: bool = False
    size: int = 0  # bytes of padding
    painted: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def open(self) -> None:
        """Nothing to get ready."""

    async def close(self) -> None:
        """Nothing to give back."""

    async def render(self, order: Order, on_progress: OnProgress) -> Clip:
        for done in range(4):
            on_progress(Progress(Stage.PAINTING, done, 4))
            await asyncio.sleep(0)
        await self.gate.wait()
        if self.broken:
            raise PaintFailed(order.request.model, "the brush broke")
        order.folder.mkdir(parents=True, exist_ok=True)
        still = order.request.kind is Kind.IMAGE
        path = order.folder / ("still.png" if still else "clip.mp4")
        self.painted.set()
        path.write_bytes(f"job {order.label.partition('.')[0]}".encode() + bytes(self.size))
        poster = order.folder / "poster.jpg"
        poster.write_bytes(b"a small picture")
        return Clip(
            path=path,
            width=order.request.width,
            height=order.request.height,
            fps=order.request.fps,
            frames=order.request.frames,
            seconds=order.request.seconds,
            size=path.stat().st_size,
            audio=not still,
            poster=poster,
        )


async def fit(clip: Clip, limit: int) -> Clip:
    """Fits by cutting: enough to see that it was asked for."""
    smaller = clip.path.with_name(f"fits-{limit}.mp4")
    smaller.write_bytes(clip.path.read_bytes()[:limit])
    return structs.replace(clip, path=smaller, size=limit)


class Watched(Telegram):
    """Tells when a delivery has been remembered."""

    def __init__(self, studio: Studio, options: Options) -> None:
        super().__init__(studio, options)
        self._presses.patience = 20.0  # a busy machine must not look like a slow bot
        self.done: set[int] = set()
        self.moved = asyncio.Condition()

    def late(self) -> None:
        """From now on every clip took so long that it comes as a message of its own."""
        self._carrier.clock = lambda: 2e9

    async def delivered(self, job: Job) -> None:
        await super().delivered(job)
        async with self.moved:
            self.done.add(job.id)
            self.moved.notify_all()

    async def until_delivered(self, job: int) -> None:
        async with asyncio.timeout(20), self.moved:
            await self.moved.wait_for(lambda: job in self.done)


@dataclass
class Cinema:
    studio: Studio
    store: Store
    engine: Atelier
    telegram: Watched

    async def rendered(self, job: int) -> None:
        """Wait until its clip is on the disk."""
        async with asyncio.timeout(20):
            while (await self.store.job(job)).clip is None:
                await self.engine.painted.wait()


def presets() -> dict[str, Preset]:
    limits = {
        "width": 64, "height": 64, "min_side": 32, "seconds": 2.0, "fps": 8.0,
        "aspects": {"1:1": [64, 64], "16:9": [128, 64], "9:16": [64, 128]},
        "kinds": [kind.value for kind in Kind],
    }  # fmt: skip
    pocket = tomllib.loads((config_folder() / "models.toml").read_text("utf-8"))["pocket"]
    tiny = {"family": "testcard", "title": "Tiny", "limits": limits}
    return read_presets({"tiny": tiny, "pocket": pocket})


def one_rule() -> Policy:
    """One rule, that can be broken in a word."""
    return Policy.read(rules={"operator": {"lists": ["operator"]}}, words={}, operator=["forbidden"])


def genres() -> dict[str, Genre]:
    return read_genres(tomllib.loads((config_folder() / "genres.toml").read_text("utf-8")))


@asynccontextmanager
async def cinema(
    folder: Path,
    options: Options,
    *,
    credits_: int = 1000,
    engine: Atelier | None = None,
    policy: Policy | None = None,
    pools: Mapping[str, int] | None = None,
    inspect: Callable[[Store], Inspect] | None = None,
) -> AsyncIterator[Cinema]:
    """Everything running, as app composes it; closes as after Ctrl-C."""
    engine = engine or Atelier()
    store = await Store.open(folder)
    recovered = await store.recover(PLATFORMS)
    house = House(
        model="tiny",
        maker="band",
        allowance=Allowance(credits=credits_, zone=where_it_is_noon()),
        caps=Caps(person=500, community=500, all=1000),
        data=folder,
        disk_floor=0,
        pools=pools or {},
    )
    studio = Studio(store=store, house=house, presets=presets(), genres=genres(), policy=policy or one_rule())
    telegram = Watched(studio, options)
    telegram.administer(studio.admin.perform)
    frontends = {"telegram": telegram}
    looking = inspect(store) if inspect else None
    delivery = Delivery(store=store, frontends=frontends, fit=fit, presets=studio.presets, inspect=looking)
    worker = Worker(
        store=store, engine=engine, presets=studio.presets, clips=folder / "clips", delivery=delivery
    )
    studio.on_work, studio.on_cancel, studio.on_rendered = worker.ring, worker.stop, delivery.ring
    studio.on_ended, delivery.on_held = delivery.ended, studio.show_held
    studio.read_notices(Notices(frontends).post)
    tasks = [asyncio.create_task(part.run()) for part in (worker, delivery, telegram)]
    try:
        for job in recovered.uncertain:
            delivery.ended(await store.job(job))
        await telegram.ready.wait()
        yield Cinema(studio, store, engine, telegram)
    finally:
        for task in tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks)
        await store.close()
