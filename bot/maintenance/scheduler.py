"""Periodic maintenance: create backups, remove unneeded files, and keep the disk budget."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from bot.i18n import messages
from bot.maintenance import backups
from bot.maintenance.janitor import Janitor
from generation.errors import ExplainedError

log = structlog.get_logger(__name__)
INTERVAL = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupSchedule:
    """Back up to `folder` every `every` seconds and keep the newest `keep`; 0 seconds disables backups."""

    folder: Path
    every: float
    keep: int


class Scheduler:
    def __init__(
        self,
        *,
        janitor: Janitor,
        data: Path,
        backup_schedule: BackupSchedule,
        keep_days: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Copies of the database from before a migration or restore are kept for `keep_days`, at most 30."""
        self._janitor = janitor
        self._data = data
        self._backup_schedule = backup_schedule
        longest = backups.SAFETY_COPY_DAYS
        self._copy_seconds = min(keep_days or longest, longest) * 86_400.0
        self._clock = clock
        self.used_bytes = 0
        """Bytes in the data folder, measured in the last run."""

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            await self.run_once()
            await asyncio.sleep(INTERVAL)

    async def run_once(self) -> None:
        await _run_logging_errors("backup", self._back_up())
        await _run_logging_errors("inbox", self._remove_unused_files())
        await _run_logging_errors("copies", self._remove_safety_copies())
        await _run_logging_errors("budget", self._enforce_budget())

    async def _back_up(self) -> None:
        schedule = self._backup_schedule
        if not schedule.every or backups.age_of_newest(schedule.folder, self._clock()) < schedule.every:
            return
        created = await asyncio.to_thread(
            backups.create_backup, self._data, schedule.folder, now=self._clock()
        )
        removed = await asyncio.to_thread(backups.remove_oldest, schedule.folder, schedule.keep)
        log.info("backup created", file=created.name, removed=removed)

    async def _remove_unused_files(self) -> None:
        attachments = await asyncio.to_thread(self._janitor.remove_unused_attachments)
        folders = await asyncio.to_thread(self._janitor.remove_orphaned_clips)
        if attachments or folders:
            log.info("removed unneeded files", attachments=attachments, clips=folders)

    async def _remove_safety_copies(self) -> None:
        older_than = self._clock() - self._copy_seconds
        removed = await asyncio.to_thread(backups.remove_safety_copies, self._data, older_than=older_than)
        if removed:
            log.info("removed old copies of the database", files=removed)

    async def _enforce_budget(self) -> None:
        cleared = await self._janitor.enforce_budget(await asyncio.to_thread(self._janitor.used_bytes))
        self.used_bytes = cleared.used
        if cleared.clips:
            log.info("removed delivered clips", clips=cleared.clips, freed=messages.file_size(cleared.bytes))


async def _run_logging_errors(task_name: str, work: Coroutine[Any, Any, None]) -> None:
    """Log a failure; the next run tries again."""
    try:
        await work
    except (ExplainedError, OSError):
        log.exception("maintenance failed", task=task_name)
