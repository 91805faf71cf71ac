"""The rooms that need many settings, made from them."""

from __future__ import annotations

from dataclasses import asdict

from bot.maintenance.janitor import Janitor
from bot.maintenance.scheduler import BackupPlan, Keeper
from bot.runtime.config import Tables, backup_folder, means, plugins
from bot.runtime.settings import Settings
from bot.store.store import Store
from generation.engines.local.engine import ChildEngine, Patience, Setup


def engine(settings: Settings, tables: Tables) -> ChildEngine:
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


def keeper(settings: Settings, store: Store) -> Keeper:
    chosen, data = settings.upkeep, settings.studio.data
    plan = BackupPlan(
        folder=backup_folder(settings), every=chosen.backup_hours * 3600, keep=chosen.backup_keep
    )
    janitor = Janitor(store=store, data=data, budget=int(chosen.budget_gb * 1e9))
    return Keeper(janitor=janitor, data=data, plan=plan)
