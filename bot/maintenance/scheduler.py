"""The rounds of a running Matinee: a backup when one is due, room on the disk, attachments of nobody."""

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
    """Every so many seconds, into that folder, so many of them kept; 0 seconds makes none."""

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
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._janitor = janitor
        self._data = data
        self._backup_schedule = backup_schedule
        self._clock = clock
        self.used_bytes = 0
        """Bytes in the data folder, as of the last round."""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.run_once()
            await asyncio.sleep(INTERVAL)

    async def run_once(self) -> None:
        await _run_logging_errors("backup", self._back_up())
        await _run_logging_errors("inbox", self._remove_unused_files())
        await _run_logging_errors("budget", self._enforce_budget())

    async def _back_up(self) -> None:
        plan = self._backup_schedule
        if not plan.every or backups.age_of_newest(plan.folder, self._clock()) < plan.every:
            return
        made = await asyncio.to_thread(backups.create_backup, self._data, plan.folder, now=self._clock())
        gone = await asyncio.to_thread(backups.remove_oldest, plan.folder, plan.keep)
        log.info("backed up", file=made.name, let_go=gone)

    async def _remove_unused_files(self) -> None:
        attachments = await asyncio.to_thread(self._janitor.remove_unused_attachments)
        folders = await asyncio.to_thread(self._janitor.remove_orphaned_clips)
        if attachments or folders:
            log.info("threw away what was nobody's", attachments=attachments, clips=folders)

    async def _enforce_budget(self) -> None:
        cleared = await self._janitor.enforce_budget(await asyncio.to_thread(self._janitor.used_bytes))
        self.used_bytes = cleared.used
        if cleared.clips:
            log.info("made room", clips=cleared.clips, freed=messages.file_size(cleared.bytes))


async def _run_logging_errors(task_name: str, work: Coroutine[Any, Any, None]) -> None:
    """The edge of a round: what cannot be done now is done in the next."""
    try:
        await work
    except (ExplainedError, OSError):
        log.exception("upkeep failed", what=task_name)
