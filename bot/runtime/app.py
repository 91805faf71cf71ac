"""The composition root: the only module that names every class; opens, runs, closes."""

from __future__ import annotations

import asyncio
import errno
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import structlog

from bot.admin.admin import Admin, Answer
from bot.domain.errors import AlreadyRunning, ChatsLost, DataFolderUnusable, NothingToServe
from bot.domain.jobs import Job, Requester
from bot.maintenance import temp_files
from bot.maintenance.metrics import Metered, Meters, keep_figures
from bot.maintenance.monitor import Monitor
from bot.maintenance.retention import Sweeper
from bot.maintenance.scheduler import Keeper
from bot.maintenance.systemd import Notifier
from bot.moderation.admin_notices import Notices
from bot.pipeline.delivery import Delivery, Frontend
from bot.pipeline.recipe_embedding import Recipes
from bot.pipeline.worker import Worker
from bot.runtime import builders, frontend_registry
from bot.runtime.config import admin_chats, an_eye, house, inspector, outlet, read_policy, read_tables
from bot.runtime.settings import Settings
from bot.runtime.supervisor import Revivable, Supervisor
from bot.store.store import FILE, Access, Store
from bot.studio.studio import Studio
from generation.engines.engine import Engine
from generation.engines.local.engine import ChildEngine
from generation.failpoint import Place, here
from generation.media import identity
from generation.media.ffmpeg import find
from generation.rendering.finalize import finish_smaller

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


class KeptEngine(Engine, Revivable, Protocol):
    """An engine that the supervisor can keep alive."""


@dataclass(slots=True)
class App:
    studio: Studio
    store: Store
    engine: KeptEngine
    worker: Worker
    delivery: Delivery
    frontends: dict[str, Frontend]
    sweeper: Sweeper
    keeper: Keeper
    makers: frontend_registry.Makers
    meters: Meters | None = None
    grace: float = GRACE

    def starts(self) -> int:
        """How often the engine was started."""
        return self.engine.starts if isinstance(self.engine, ChildEngine) else 1

    def make_chat(self, name: str) -> None:
        """A new one of that name, also in the place of one that died."""
        chat = self.makers[name](self.studio)
        if isinstance(chat, Administered):
            chat.administer(self.studio.admin.perform)
        self.frontends[name] = chat

    async def serve(self) -> None:
        """Run everything until cancelled, or until every frontend has ended."""
        async with asyncio.TaskGroup() as group:
            rooms = (self.worker.run(), self.delivery.run(), self.sweeper.run(), self.studio.heed())
            background = [group.create_task(room) for room in rooms]
            fronts = [group.create_task(f.run(), name=name) for name, f in self.frontends.items()]
            await asyncio.wait(fronts)
            for task in background:
                task.cancel()

    async def stop_kindly(self, why: str) -> None:
        """Take nothing new; let what is being made finish and arrive, within the grace.

        A send that has begun is let finish even then, for as long again: cut short it would be in doubt.
        """
        self.studio.close_doors(why)
        self.worker.drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(self.grace):
                await self.worker.drained.wait()
                await self.delivery.finish()
        with suppress(TimeoutError):
            async with asyncio.timeout(self.grace):
                await self.delivery.settle()


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
async def opened(
    settings: Settings, makers: frontend_registry.Makers, engine: KeptEngine | None = None
) -> AsyncIterator[App]:
    """Everything ready but not yet running; closes in the order that loses nothing.

    Without an `engine` the settings say which.
    """
    tables = read_tables(settings)
    program = find(settings.engine.ffmpeg or None)
    data = settings.studio.data
    eye = an_eye(settings)
    prepare_data_folder(data)
    signer = identity.own(data)
    meters = Meters(data) if outlet(settings) else None
    store = await Metered.open(data)
    try:
        await asyncio.to_thread(temp_files.clear, data)
        engine = engine or builders.engine(settings, tables)
        studio = Studio(
            store=store,
            house=house(settings),
            presets=tables.presets,
            genres=tables.genres,
            makers=tuple(tables.makers),
            followers=tuple(name for name, one in tables.makers.items() if one.melody),
            policy=read_policy(settings),
        )
        frontends: dict[str, Frontend] = {}
        delivery = Delivery(
            store=store,
            frontends=frontends,
            presets=tables.presets,
            fit=partial(finish_smaller, ffmpeg=program, identity=signer),
            dress=Recipes(store, program, signer).put_in,
            inspect=inspector(settings, store, eye.look).inspect if eye else None,
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
        studio.on_ended, delivery.on_held = _ended(delivery, meters), studio.show_held
        store.meters = meters
        studio.read_notices(Notices(frontends, admin_chats(settings)).post)
        keeper = builders.keeper(settings, store)
        app = App(studio, store, engine, worker, delivery, frontends, sweeper, keeper, makers, meters)
        for name in makers:
            app.make_chat(name)
        await _sort_out(store, frontends)
        try:
            await engine.open()
            yield app
        finally:
            await engine.close()
            if eye is not None:
                await eye.close()
    finally:
        await store.close()


async def _sort_out(store: Store, frontends: Mapping[str, Frontend]) -> None:
    """What the last run left half done."""
    here(Place.RECOVER)
    deduplicating = {name for name, chat in frontends.items() if chat.deduplicates}
    found = await store.recover(DEDUPLICATING | deduplicating)
    here(Place.RECOVERED)
    log.info("sorted out", requeued=found.requeued, resent=found.resent, uncertain=found.uncertain)


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


def _ended(delivery: Delivery, meters: Meters | None) -> Callable[[Job], None]:
    """What the studio says of jobs that somebody ended."""

    def ended(job: Job) -> None:
        delivery.ended(job)
        if meters is not None:
            meters.cancelled(job)

    return ended


async def run(settings: Settings) -> None:
    """Every chat that has what it needs, until a signal says stop. Raises ChatsLost if all have ended."""
    makers = frontend_registry.makers(settings)
    if not makers:
        raise NothingToServe
    await run_with(settings, makers)


async def run_with(
    settings: Settings,
    makers: frontend_registry.Makers,
    engine: KeptEngine | None = None,
    *,
    grace: float = GRACE,
) -> None:
    """The same with other chats, or another engine."""
    async with opened(settings, makers, engine) as app:
        app.grace = grace
        monitor = Monitor(settings.studio.data, notifier=Notifier.from_environment())
        supervisor = Supervisor(app, monitor)
        more = [app.keeper.run(), app.studio.heed()]
        if app.meters is not None:
            monitor.on_beat.append(app.meters.beat)
            more.append(keep_figures(app.meters, outlet(settings), app.store, app.starts))
        try:
            await _until_a_signal(app, supervisor, more)
        finally:
            monitor.close()


async def _until_a_signal(
    app: App, supervisor: Supervisor, more: Sequence[Coroutine[Any, Any, None]]
) -> None:
    serving = asyncio.create_task(supervisor.serve(*more))
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    waiting = asyncio.create_task(stopping.wait())
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if serving.done():
        await serving
        raise ChatsLost(tuple(app.frontends))
    supervisor.stopping()
    await app.stop_kindly("Matinee is being restarted")
    serving.cancel()
    with suppress(asyncio.CancelledError):
        await serving
