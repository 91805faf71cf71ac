"""The composition root: the only module that names every class; opens, runs, closes."""

from __future__ import annotations

import asyncio
import errno
import importlib
import re
import signal
import time
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import structlog

from bot.admin import Admin, Answer
from bot.delivery import Delivery, Frontend
from bot.errors import AlreadyRunning, ConfigBroken, DataFolderUnusable, NothingToServe
from bot.job import Requester
from bot.policy import Policy
from bot.quota import Allowance, Balance, Caps, Tier
from bot.settings import DiscordSettings, Settings, TelegramSettings, config_folder
from bot.store import FILE, Access, Store
from bot.studio import House, Studio
from bot.sweep import Sweeper
from bot.worker import Worker
from generation.engines.child import ChildEngine, Patience, Setup
from generation.errors import PresetBroken
from generation.finish import finish_smaller
from generation.media import identity
from generation.media.ffmpeg import find
from generation.models import check as check_preset
from generation.models.plan import Means
from generation.models.preset import Preset, allowed, read_presets
from generation.request import near, unknown_fields
from generation.scores.genre import Genre, GenreBroken, read_genres
from generation.scores.preset import Maker, MakerBroken, offered, read_makers

log = structlog.get_logger(__name__)

DEDUPLICATING = frozenset({"cli", "discord"})
"""Platforms where a send that a crash cut short may be repeated: one nonce, or one file name, shows once."""
GRACE = 30.0
"""Seconds that what is being made may take to finish when Matinee is asked to stop."""


@runtime_checkable
class Administered(Protocol):
    """A chat whose admins have their verbs there too."""

    def administer(self, perform: Callable[[str, Requester], Awaitable[Answer]]) -> None:
        """Do what admins say by this."""


Frontends = Callable[[Studio], Mapping[str, Frontend]]


@dataclass(frozen=True, slots=True)
class Tables:
    """The named things of the config, read and checked."""

    presets: Mapping[str, Preset]
    genres: Mapping[str, Genre]
    makers: Mapping[str, Maker]


@dataclass(slots=True)
class App:
    studio: Studio
    store: Store
    worker: Worker
    delivery: Delivery
    frontends: Mapping[str, Frontend]
    sweeper: Sweeper

    async def serve(self) -> None:
        """Run everything until cancelled, or until every frontend has ended."""
        async with asyncio.TaskGroup() as group:
            rooms = (self.worker.run(), self.delivery.run(), self.sweeper.run())
            background = [group.create_task(room) for room in rooms]
            fronts = [group.create_task(f.run(), name=name) for name, f in self.frontends.items()]
            await asyncio.wait(fronts)
            for task in background:
                task.cancel()

    async def stop_kindly(self, why: str) -> None:
        """Take nothing new and let what is being made finish, within the grace."""
        self.studio.close_doors(why)
        self.worker.drain()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.worker.drained.wait(), GRACE)


def plugins(settings: Settings) -> tuple[str, ...]:
    """The operator's own modules, imported, so that what they register can be named in presets."""
    names = tuple(filter(None, (name.strip() for name in settings.engine.plugins.split(","))))
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:  # theirs may raise anything
            problem = f"{name} cannot be imported ({type(error).__name__}: {error})"
            raise ConfigBroken("[engine] plugins", problem) from error
    return names


def read_tables(settings: Settings) -> Tables:
    plugins(settings)
    try:
        presets = read_presets(settings.tables.get("models", {}))
        for preset in presets.values():
            check_preset(preset)
    except PresetBroken as error:
        raise ConfigBroken(f"[models] {error.place}", error.problem, error.near) from None
    studio = settings.studio
    presets = {
        name: preset
        for name, preset in presets.items()
        if allowed(preset, commercial=studio.commercial, territory=studio.territory)
    }
    if settings.studio.model not in presets:
        wanted = settings.studio.model
        raise ConfigBroken("[studio] model", f"there is no model {wanted}", near(wanted, tuple(presets)))
    try:
        genres = read_genres(settings.tables.get("genres", {}))
    except GenreBroken as error:
        raise ConfigBroken(f"[genres] {error.place}", error.problem, error.near) from None
    return Tables(presets, genres, _makers(settings))


def _makers(settings: Settings) -> dict[str, Maker]:
    """The music makers that this operator may use."""
    try:
        makers = read_makers(settings.tables.get("music", {}))
    except MakerBroken as error:
        raise ConfigBroken(f"[music] {error.place}", error.problem, error.near) from None
    chosen, allowed_ones = settings.studio.maker, offered(makers, commercial=settings.studio.commercial)
    if chosen not in allowed_ones:
        problem = (
            f"{chosen} may not be used commercially" if chosen in makers else f"there is no maker {chosen}"
        )
        raise ConfigBroken("[studio] maker", problem, near(chosen, allowed_ones))
    return {name: makers[name] for name in allowed_ones}


def read_policy(settings: Settings) -> Policy:
    """The shipped rules; the one that protects the young holds whatever else is set."""
    rules = settings.rules
    off = [name for name, held in (("adult", rules.adult), ("people", rules.people)) if not held]
    own = [word.strip() for word in rules.words.split(",") if word.strip()]
    folder = config_folder() / "rules"
    texts = {name: (folder / f"{name}.toml").read_text(encoding="utf-8") for name in ("rules", "words")}
    return Policy.read(
        rules=tomllib.loads(texts["rules"]), words=tomllib.loads(texts["words"]), operator=own, off=off
    )


def house(settings: Settings) -> House:
    quota = settings.quota
    return House(
        model=settings.studio.model,
        maker=settings.studio.maker,
        allowance=Allowance(
            credits=quota.credits,
            zone=quota.zone,
            rolling=quota.rolling_hours * 3600 if quota.rolling_hours else None,
        ),
        caps=Caps(
            person=settings.queue.per_person,
            community=settings.queue.per_community,
            all=settings.queue.in_all,
            burst=settings.queue.burst or None,
            burst_seconds=settings.queue.burst_seconds,
        ),
        data=settings.studio.data,
        disk_floor=settings.studio.disk_floor_mb * 1_000_000,
        tiers=_tiers(settings.tables.get("tiers", {})),
        pools=_pools(settings.tables.get("pools", {})),
        admins_unlimited=quota.admins_unlimited,
        slots=settings.engine.slots,
    )


def _tiers(tables: Mapping[str, Any]) -> tuple[Tier, ...]:
    """[tiers.patron] of matinee.toml, in the order they stand there."""
    tiers = []
    for name, table in tables.items():
        for key in unknown_fields(Tier, table):
            raise ConfigBroken(f"[tiers.{name}] {key}", "unknown key", near(key, tuple(Tier.__slots__)))
        sets = {key: frozenset(map(str, table[key])) for key in ("roles", "chats", "people") if key in table}
        tiers.append(Tier(**{**table, **sets, "name": name}))
    return tuple(tiers)


def _pools(tables: Mapping[str, Any]) -> dict[str, int]:
    """[pools] "discord:7" = 200"""
    for key, credits_ in tables.items():
        if type(credits_) is not int or credits_ < 0:
            raise ConfigBroken(f"[pools] {key}", "should be a whole number of credits")
    return dict(tables)


def prepare_data_folder(folder: Path) -> None:
    """There, and writable; a full disk is told apart from a forbidden one."""
    try:
        (folder / "clips").mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.write_bytes(b"?")
        probe.unlink()
    except OSError as error:
        reason = "the disk is full" if error.errno == errno.ENOSPC else (error.strerror or str(error)).lower()
        raise DataFolderUnusable(str(folder), reason) from None


@asynccontextmanager
async def opened(settings: Settings, frontends: Frontends) -> AsyncIterator[App]:
    """Everything ready but not yet running; closes in the order that loses nothing."""
    tables = read_tables(settings)
    program = find(settings.engine.ffmpeg or None)
    data = settings.studio.data
    prepare_data_folder(data)
    store = await Store.open(data)
    try:
        found = await store.recover(DEDUPLICATING)
        engine = _engine(settings, tables)
        studio = Studio(
            store=store,
            house=house(settings),
            presets=tables.presets,
            genres=tables.genres,
            makers=tuple(tables.makers),
            policy=read_policy(settings),
        )
        chats = frontends(studio)
        delivery = Delivery(
            store=store,
            frontends=chats,
            fit=partial(finish_smaller, ffmpeg=program, identity=identity.own(data)),
        )
        worker = Worker(
            store=store,
            engine=engine,
            presets=tables.presets,
            clips=(data / "clips").absolute(),
            delivery=delivery,
            affinity=settings.queue.affinity,
        )
        sweeper = Sweeper(store=store, clips=data / "clips", keep_days=settings.studio.keep_days)
        studio.on_work, studio.on_cancel, studio.on_rendered = worker.ring, worker.stop, delivery.ring
        studio.on_ended = delivery.ended
        for chat in chats.values():
            if isinstance(chat, Administered):
                chat.administer(studio.admin.perform)
        for number in found.uncertain:
            delivery.ended(await store.job(number))
        try:
            await engine.open()
            yield App(studio, store, worker, delivery, chats, sweeper)
        finally:
            await engine.close()
    finally:
        await store.close()


@asynccontextmanager
async def administering(settings: Settings) -> AsyncIterator[Admin]:
    """The admin verbs for the terminal, also beside a running instance, which sees each act at once."""
    data = settings.studio.data
    prepare_data_folder(data)
    try:
        store = await Store.open(data)
    except AlreadyRunning:
        store = await Store.open(data, Access.GUEST)
    try:
        yield Admin(store=store, plan=house(settings).plan, models=tuple(read_tables(settings).presets))
    finally:
        await store.close()


@asynccontextmanager
async def looking(settings: Settings) -> AsyncIterator[Store | None]:
    """The store for reading, also beside a running instance; None where none was ever written."""
    data = settings.studio.data
    if not (data / FILE).is_file():
        yield None
        return
    store = await Store.open(data, Access.READER)
    try:
        yield store
    finally:
        await store.close()


def means(settings: Settings) -> Means:
    """What the models may use of this machine."""
    chosen = settings.engine
    return Means(
        device=chosen.device,
        gigabytes=chosen.memory_gb,
        lossy=chosen.lossy,
        compile=chosen.compile,
        cache_folder=str(settings.studio.data.absolute() / "compiled"),
    )


def _engine(settings: Settings, tables: Tables) -> ChildEngine:
    chosen = settings.engine
    setup = Setup(
        ffmpeg=chosen.ffmpeg,
        scores={
            name: one.for_child(settings.tables.get("genres", {})) for name, one in tables.makers.items()
        },
        memory=asdict(means(settings)),
        provenance={"folder": str(settings.studio.data.absolute())},
        plugins=plugins(settings),
        nice=chosen.nice,
    )
    patience = Patience(start=chosen.start_seconds, stall=chosen.stall_seconds, total=chosen.total_seconds)
    return ChildEngine(setup, slots=chosen.slots, patience=patience)


async def run(settings: Settings) -> None:
    """Every chat that has what it needs, until a signal says stop."""
    if all(left_out(settings).values()):
        raise NothingToServe
    async with opened(settings, lambda studio: _chats(settings, studio)) as studio_app:
        serving = asyncio.create_task(studio_app.serve())
        stopping = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        waiting = asyncio.create_task(stopping.wait())
        await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not serving.done():
            await studio_app.stop_kindly("Matinee is being restarted")
            serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving


def _chats(settings: Settings, studio: Studio) -> dict[str, Frontend]:
    chats: dict[str, Frontend] = {}
    missing = left_out(settings)
    if missing["discord"] is None:
        chats["discord"] = _discord(settings.discord, studio)
    if missing["telegram"] is None:
        chats["telegram"] = _telegram(settings.telegram, studio)
    return chats


def _discord(chosen: DiscordSettings, studio: Studio) -> Frontend:
    from bot.frontends.discord.frontend import DiscordFrontend  # noqa: PLC0415  (loaded only where it is served)

    return DiscordFrontend(studio, chosen.token.reveal(), sharded=chosen.sharded)


def _telegram(chosen: TelegramSettings, studio: Studio) -> Frontend:
    from bot.frontends.telegram.doors import Webhook  # noqa: PLC0415  (loaded only where it is served)
    from bot.frontends.telegram.frontend import Options, Telegram  # noqa: PLC0415

    hook = None
    if chosen.webhook:
        secret = chosen.webhook_secret.reveal()
        if not re.fullmatch(r"[A-Za-z0-9_-]{24,256}", secret):
            problem = "should be 24 to 256 letters, digits, _ or -; try: openssl rand -hex 24"
            raise ConfigBroken("[telegram] webhook_secret", problem)
        hook = Webhook(
            address=chosen.webhook, secret=secret, host=chosen.webhook_host, port=chosen.webhook_port
        )
    numbers = [part.strip() for part in chosen.admins.split(",") if part.strip()]
    if not all(number.isdecimal() for number in numbers):
        raise ConfigBroken("[telegram] admins", "should be people's numbers, with commas between")
    options = Options(
        token=chosen.token.reveal(),
        admins=frozenset(map(int, numbers)),
        api=chosen.api,
        local=chosen.local,
        webhook=hook,
        stars=chosen.stars,
    )
    return Telegram(studio, options)


def untouched(allowance: Allowance) -> Balance:
    """The balance of somebody who has never asked for anything."""
    now = time.time()
    return Balance(
        limit=allowance.credits,
        used=0,
        granted=0,
        back_at=allowance.back_at(now),
        unlimited=allowance.unlimited,
    )


def left_out(settings: Settings) -> dict[str, str | None]:
    """Each chat, and why it does not start; None for one that does."""
    return {
        "discord": _why_not(settings.discord, "DISCORD_TOKEN"),
        "telegram": _why_not(settings.telegram, "TELEGRAM_TOKEN"),
    }


def _why_not(chat: DiscordSettings | TelegramSettings, variable: str) -> str | None:
    if not chat.enabled:
        return "switched off in the settings"
    return None if chat.token else f"no {variable}"
