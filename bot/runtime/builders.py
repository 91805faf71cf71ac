"""Builds the objects that need many settings."""

from __future__ import annotations

from dataclasses import asdict

from bot.maintenance.janitor import Janitor
from bot.maintenance.metrics import Metrics
from bot.maintenance.scheduler import Scheduler
from bot.runtime.config import (
    NamedTables,
    import_plugins,
    resources,
)
from bot.runtime.settings import Settings
from bot.store.store import Store
from bot.studio.catalog import Catalog
from generation.engines.local.child_process import Timeouts
from generation.engines.local.engine import LocalEngine
from generation.engines.local.protocol import EngineSetup


def build_engine(settings: Settings, tables: NamedTables) -> LocalEngine:
    chosen = settings.engine
    setup = EngineSetup(
        ffmpeg=chosen.ffmpeg,
        maker_options={
            name: one.engine_options(settings.tables.get("genres", {})) for name, one in tables.makers.items()
        },
        memory=asdict(resources(settings)),
        provenance={"folder": str(settings.studio.data.absolute())},
        plugins=import_plugins(settings),
        nice=chosen.nice,
    )
    timeouts = Timeouts(start=chosen.start_seconds, stall=chosen.stall_seconds, total=chosen.total_seconds)
    return LocalEngine(setup, slots=chosen.slots, timeouts=timeouts)


def build_scheduler(settings: Settings, store: Store) -> Scheduler:
    chosen, data = settings.upkeep, settings.studio.data
    janitor = Janitor(store=store, data=data, budget=int(chosen.budget_gb * 1e9))
    return Scheduler(
        janitor=janitor,
        data=data,
        backup_schedule=chosen.backup_schedule(data),
        keep_days=settings.studio.keep_days,
    )


def build_metrics(settings: Settings) -> Metrics | None:
    """The metrics; None if the operator wants none."""
    if not settings.upkeep.metrics_output():
        return None
    return Metrics(settings.studio.data)


def build_catalog(settings: Settings, tables: NamedTables) -> Catalog:
    return Catalog(
        presets=tables.presets,
        genres=tables.genres,
        default_model=settings.studio.model,
        default_maker=settings.studio.maker,
        makers=tuple(tables.makers),
        melody_makers=tuple(name for name, maker in tables.makers.items() if maker.melody),
    )
