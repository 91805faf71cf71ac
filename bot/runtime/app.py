"""Opens the app that the settings describe, runs it and closes it."""

from __future__ import annotations

import asyncio
import errno
import signal
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from bot.admin.admin import AdminCommands
from bot.domain.errors import AllFrontendsEnded, AlreadyRunning, DataFolderUnusable, NoFrontendConfigured
from bot.domain.frontend import Frontend
from bot.maintenance import temp_files
from bot.maintenance.file_modes import make_private
from bot.maintenance.janitor import Janitor
from bot.maintenance.metrics import export_metrics
from bot.maintenance.monitor import Monitor
from bot.maintenance.systemd_notify import SystemdNotifier
from bot.pipeline.recipe_embedding import RecipeEmbedder
from bot.runtime import builders
from bot.runtime.composition import SHUTDOWN_GRACE, App, compose
from bot.runtime.config import (
    admin_chats,
    build_inspector,
    build_nsfw_process,
    frontend_factories,
    operator_policy,
    read_policy,
    read_tables,
)
from bot.runtime.frontend_registry import FrontendFactories
from bot.runtime.settings import Settings
from bot.runtime.supervisor import Supervisor
from bot.store.store import DATABASE_FILE, Access, Store
from generation.engines.engine import Engine
from generation.failpoint import FailPoint, pass_failpoint
from generation.media import signing_identity
from generation.media.ffmpeg import find
from generation.rendering.finalize import finish_fitted

log = structlog.get_logger(__name__)


def prepare_data_folder(folder: Path) -> None:
    """Create the data folder if needed and check that it is writable; raises DataFolderUnusable."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "clips").mkdir(mode=0o700, exist_ok=True)
        probe = folder / ".writable"
        probe.write_bytes(b"?")
        probe.unlink()
    except OSError as error:
        reason = "the disk is full" if error.errno == errno.ENOSPC else (error.strerror or str(error)).lower()
        raise DataFolderUnusable(str(folder), reason) from None


@asynccontextmanager
async def open_app(
    settings: Settings, factories: FrontendFactories, engine: Engine | None = None
) -> AsyncIterator[App]:
    """Build everything and open the engine; nothing runs yet.

    Without an `engine` the settings choose one. Parts are closed in the reverse order of opening.
    """
    tables, ffmpeg = read_tables(settings), find(settings.engine.ffmpeg or None)
    data = settings.studio.data
    nsfw_process = build_nsfw_process(settings)
    prepare_data_folder(data)
    await asyncio.to_thread(make_private, data, settings.upkeep.folder_for_backups(data))
    signer = signing_identity.load_or_create_identity(data)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(_open_store(settings))
        await asyncio.to_thread(temp_files.remove_temp_files, data)
        janitor = Janitor(store=store, data=data, budget=0)
        await asyncio.to_thread(janitor.remove_unused_attachments, min_age=0.0)
        app = compose(
            store=store,
            engine=engine or builders.build_engine(settings, tables),
            frontend_factories=factories,
            operator_policy=operator_policy(settings),
            catalog=builders.build_catalog(settings, tables),
            prompt_policy=read_policy(settings),
            fit=partial(finish_fitted, ffmpeg=ffmpeg, identity=signer),
            personalize=RecipeEmbedder(store, ffmpeg, signer, settings.registry.private_platforms).embed,
            inspect=build_inspector(settings, store, nsfw_process.inspect).inspect if nsfw_process else None,
            admin_chats=admin_chats(settings),
            affinity=settings.queue.affinity,
            keep_days=settings.studio.keep_days,
        )
        await _recover(store, app.frontends, settings.registry.deduplicating_platforms)
        if nsfw_process is not None:
            stack.push_async_callback(nsfw_process.close)
        stack.push_async_callback(app.engine.close)
        await app.engine.open()
        yield app


@asynccontextmanager
async def _open_store(settings: Settings, access: Access = Access.OWNER) -> AsyncIterator[Store]:
    store = await Store.open(
        settings.studio.data,
        access,
        platforms_without_final_status=settings.registry.platforms_without_final_status,
    )
    try:
        yield store
    finally:
        await store.close()


async def _recover(
    store: Store, frontends: Mapping[str, Frontend], deduplicating_platforms: frozenset[str]
) -> None:
    """Requeue or deliver what the last run left unfinished."""
    pass_failpoint(FailPoint.RECOVER)
    also_deduplicating = {name for name, frontend in frontends.items() if frontend.deduplicates}
    found = await store.recover(deduplicating_platforms | also_deduplicating)
    pass_failpoint(FailPoint.RECOVERED)
    log.info("recovered", requeued=found.requeued, resent=found.resent, uncertain=found.uncertain)


@asynccontextmanager
async def open_admin(settings: Settings) -> AsyncIterator[AdminCommands]:
    """The admin verbs for a terminal, also beside a running instance, which notices each change."""
    prepare_data_folder(settings.studio.data)
    async with AsyncExitStack() as stack:
        try:
            store = await stack.enter_async_context(_open_store(settings))
        except AlreadyRunning:
            store = await stack.enter_async_context(_open_store(settings, Access.GUEST))
        yield AdminCommands(
            store=store,
            quota_plan=operator_policy(settings).quota_plan,
            models=tuple(read_tables(settings).presets),
            platforms=settings.registry.platforms,
        )


@asynccontextmanager
async def open_for_reading(settings: Settings) -> AsyncIterator[Store | None]:
    """The store for reading, also beside a running instance; None if there is no database yet."""
    if not (settings.studio.data / DATABASE_FILE).is_file():
        yield None
        return
    async with _open_store(settings, Access.READER) as store:
        yield store


async def run(settings: Settings) -> None:
    """Run every frontend that is configured until a signal to stop.

    Raises NoFrontendConfigured, or AllFrontendsEnded if they all ended without a signal.
    """
    factories = frontend_factories(settings)
    if not factories:
        raise NoFrontendConfigured
    await run_with_frontends(settings, factories)


async def run_with_frontends(
    settings: Settings,
    factories: FrontendFactories,
    engine: Engine | None = None,
    *,
    shutdown_grace: float = SHUTDOWN_GRACE,
) -> None:
    """Run these frontends, with this engine if one is given, until a signal to stop."""
    metrics = builders.build_metrics(settings)
    async with open_app(settings, factories, engine) as app:
        app.shutdown_grace = shutdown_grace
        monitor = Monitor(settings.studio.data, notifier=SystemdNotifier.from_environment())
        supervisor = Supervisor(app, monitor)
        scheduler = builders.build_scheduler(settings, app.store)
        extra = [scheduler.run(), app.studio.watch_outside_cancels()]
        if metrics is not None:
            metrics.subscribe(app.events)
            monitor.on_heartbeat.append(metrics.record_heartbeat)
            output = settings.upkeep.metrics_output()
            extra.append(export_metrics(metrics, output, app.store, lambda: app.engine.starts))
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
