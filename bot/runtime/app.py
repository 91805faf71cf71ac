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

from bot.admin.admin import AdminCommands, AdminResult
from bot.domain.errors import AllFrontendsEnded, AlreadyRunning, DataFolderUnusable, NoFrontendConfigured
from bot.domain.events import AdminNoticeRaised, EventBus
from bot.domain.jobs import Requester
from bot.maintenance import temp_files
from bot.maintenance.metrics import Metrics, export_metrics
from bot.maintenance.monitor import Monitor
from bot.maintenance.retention import RetentionSweeper
from bot.maintenance.scheduler import Scheduler
from bot.maintenance.systemd import SystemdNotifier
from bot.moderation.admin_notices import AdminNotices
from bot.pipeline.delivery import Delivery, Frontend
from bot.pipeline.recipe_embedding import RecipeEmbedder
from bot.pipeline.worker import Worker
from bot.runtime import builders
from bot.runtime.config import (
    admin_chats,
    build_inspector,
    build_nsfw_process,
    frontend_factories,
    metrics_output,
    operator_policy,
    read_policy,
    read_tables,
)
from bot.runtime.frontend_registry import FrontendFactories
from bot.runtime.settings import Settings
from bot.runtime.supervisor import RestartableEngine, Supervisor
from bot.store.store import DATABASE_FILE, Access, Store
from bot.studio.catalog import Catalog
from bot.studio.studio import Studio
from generation.engines.engine import Engine
from generation.engines.local.engine import LocalEngine
from generation.failpoint import FailPoint, pass_failpoint
from generation.media import identity
from generation.media.ffmpeg import find
from generation.rendering.finalize import finish_fitted

log = structlog.get_logger(__name__)

SHUTDOWN_GRACE = 30.0
"""Seconds that what is being made may take to finish when Matinee is asked to stop."""


@runtime_checkable
class AcceptsAdminHandler(Protocol):
    """A chat whose admins have their verbs there too."""

    def set_admin_handler(self, perform: Callable[[str, Requester], Awaitable[AdminResult]]) -> None:
        """Do what admins say by this."""


class SupervisedEngine(Engine, RestartableEngine, Protocol):
    """An engine that the supervisor can keep alive."""


@dataclass(slots=True)
class App:
    studio: Studio
    store: Store
    engine: SupervisedEngine
    worker: Worker
    delivery: Delivery
    frontends: dict[str, Frontend]
    sweeper: RetentionSweeper
    scheduler: Scheduler
    frontend_factories: FrontendFactories
    metrics: Metrics | None = None
    shutdown_grace: float = SHUTDOWN_GRACE

    def starts(self) -> int:
        """How often the engine was started."""
        return self.engine.starts if isinstance(self.engine, LocalEngine) else 1

    def create_frontend(self, name: str) -> None:
        """A new one of that name, also in the place of one that died."""
        frontend = self.frontend_factories[name](self.studio)
        if isinstance(frontend, AcceptsAdminHandler):
            frontend.set_admin_handler(self.studio.admin.perform)
        self.frontends[name] = frontend

    async def serve(self) -> None:
        """Run everything until cancelled, or until every frontend has ended."""
        async with asyncio.TaskGroup() as group:
            services = (
                self.worker.run(),
                self.delivery.run(),
                self.sweeper.run(),
                self.studio.watch_outside_cancels(),
            )
            background = [group.create_task(room) for room in services]
            frontend_tasks = [group.create_task(f.run(), name=name) for name, f in self.frontends.items()]
            await asyncio.wait(frontend_tasks)
            for task in background:
                task.cancel()

    async def stop_gracefully(self, reason: str) -> None:
        """Take nothing new; let what is being made finish and arrive, within the grace.

        A send that has begun is let finish even then, for as long again: cut short it would be in doubt.
        """
        self.studio.stop_accepting(reason)
        self.worker.drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(self.shutdown_grace):
                await self.worker.drained.wait()
                await self.delivery.send_remaining()
        with suppress(TimeoutError):
            async with asyncio.timeout(self.shutdown_grace):
                await self.delivery.wait_for_sends()


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
async def open_app(
    settings: Settings,
    factories: FrontendFactories,
    engine: SupervisedEngine | None = None,
) -> AsyncIterator[App]:
    """Everything ready but not yet running; closes in the order that loses nothing.

    Without an `engine` the settings say which.
    """
    tables = read_tables(settings)
    ffmpeg = find(settings.engine.ffmpeg or None)
    data = settings.studio.data
    nsfw_process = build_nsfw_process(settings)
    prepare_data_folder(data)
    signer = identity.load_or_create_identity(data)
    metrics = Metrics(data) if metrics_output(settings) else None
    events = EventBus()
    store = await Store.open(
        data, platforms_without_final_status=settings.registry.platforms_without_final_status
    )
    try:
        await asyncio.to_thread(temp_files.remove_temp_files, data)
        engine = engine or builders.build_engine(settings, tables)
        studio = Studio(
            store=store,
            operator_policy=operator_policy(settings),
            catalog=Catalog(
                presets=tables.presets,
                genres=tables.genres,
                default_model=settings.studio.model,
                default_maker=settings.studio.maker,
                makers=tuple(tables.makers),
                melody_makers=tuple(name for name, one in tables.makers.items() if one.melody),
            ),
            prompt_policy=read_policy(settings),
            events=events,
        )
        frontends: dict[str, Frontend] = {}
        delivery = Delivery(
            store=store,
            frontends=frontends,
            presets=tables.presets,
            events=events,
            fit=partial(finish_fitted, ffmpeg=ffmpeg, identity=signer),
            personalize=RecipeEmbedder(store, ffmpeg, signer, settings.registry.private_platforms).embed,
            inspect=build_inspector(settings, store, nsfw_process.inspect).inspect if nsfw_process else None,
        )
        worker = Worker(
            store=store,
            engine=engine,
            presets=tables.presets,
            clips=(data / "clips").absolute(),
            events=events,
            affinity=settings.queue.affinity,
        )
        sweeper = RetentionSweeper(store=store, clips=data / "clips", keep_days=settings.studio.keep_days)
        if metrics is not None:
            metrics.subscribe(events)
        notices = AdminNotices(frontends, admin_chats(settings))
        events.subscribe(AdminNoticeRaised, lambda event: notices.post(event.notice))
        scheduler = builders.build_scheduler(settings, store)
        app = App(
            studio,
            store,
            engine,
            worker,
            delivery,
            frontends,
            sweeper,
            scheduler,
            factories,
            metrics,
        )
        for name in factories:
            app.create_frontend(name)
        await _recover(store, frontends, settings.registry.deduplicating_platforms)
        try:
            await engine.open()
            yield app
        finally:
            await engine.close()
            if nsfw_process is not None:
                await nsfw_process.close()
    finally:
        await store.close()


async def _recover(
    store: Store, frontends: Mapping[str, Frontend], deduplicating_platforms: frozenset[str]
) -> None:
    """What the last run left half done."""
    pass_failpoint(FailPoint.RECOVER)
    also_deduplicating = {name for name, chat in frontends.items() if chat.deduplicates}
    found = await store.recover(deduplicating_platforms | also_deduplicating)
    pass_failpoint(FailPoint.RECOVERED)
    log.info("sorted out", requeued=found.requeued, resent=found.resent, uncertain=found.uncertain)


@asynccontextmanager
async def open_admin(settings: Settings) -> AsyncIterator[AdminCommands]:
    """The admin verbs for the terminal, also beside a running instance, which sees each act at once."""
    data = settings.studio.data
    prepare_data_folder(data)
    silent = settings.registry.platforms_without_final_status
    try:
        store = await Store.open(data, platforms_without_final_status=silent)
    except AlreadyRunning:
        store = await Store.open(data, Access.GUEST, platforms_without_final_status=silent)
    try:
        yield AdminCommands(
            store=store,
            quota_plan=operator_policy(settings).quota_plan,
            models=tuple(read_tables(settings).presets),
            platforms=settings.registry.platforms,
        )
    finally:
        await store.close()


@asynccontextmanager
async def open_for_reading(settings: Settings) -> AsyncIterator[Store | None]:
    """The store for reading, also beside a running instance; None where none was ever written."""
    data = settings.studio.data
    if not (data / DATABASE_FILE).is_file():
        yield None
        return
    store = await Store.open(data, Access.READER)
    try:
        yield store
    finally:
        await store.close()


async def run(settings: Settings) -> None:
    """Every chat that has what it needs, until a signal says stop. Raises ChatsLost if all have ended."""
    factories = frontend_factories(settings)
    if not factories:
        raise NoFrontendConfigured
    await run_with_frontends(settings, factories)


async def run_with_frontends(
    settings: Settings,
    factories: FrontendFactories,
    engine: SupervisedEngine | None = None,
    *,
    shutdown_grace: float = SHUTDOWN_GRACE,
) -> None:
    """The same with other chats, or another engine."""
    async with open_app(settings, factories, engine) as app:
        app.shutdown_grace = shutdown_grace
        monitor = Monitor(settings.studio.data, notifier=SystemdNotifier.from_environment())
        supervisor = Supervisor(app, monitor)
        extra = [app.scheduler.run(), app.studio.watch_outside_cancels()]
        if app.metrics is not None:
            monitor.on_heartbeat.append(app.metrics.record_heartbeat)
            extra.append(export_metrics(app.metrics, metrics_output(settings), app.store, app.starts))
        try:
            await _serve_until_signal(app, supervisor, extra)
        finally:
            monitor.close()


async def _serve_until_signal(
    app: App, supervisor: Supervisor, extra: Sequence[Coroutine[Any, Any, None]]
) -> None:
    serving = asyncio.create_task(supervisor.serve(*extra))
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    waiting = asyncio.create_task(stopping.wait())
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if serving.done():
        await serving
        raise AllFrontendsEnded(tuple(app.frontends))
    supervisor.begin_shutdown()
    await app.stop_gracefully("Matinee is being restarted")
    serving.cancel()
    with suppress(asyncio.CancelledError):
        await serving
