"""The rounds of a running Matinee: a backup when one is due, room on the disk, attachments of nobody."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from bot.i18n import messages
from bot.maintenance import backups
from bot.maintenance.janitor import Janitor
from generation.errors import Told

log = structlog.get_logger(__name__)
EVERY = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupPlan:
    """Every so many seconds, into that folder, so many of them kept; 0 seconds makes none."""

    folder: Path
    every: float
    keep: int


class Keeper:
    def __init__(
        self, *, janitor: Janitor, data: Path, plan: BackupPlan, clock: Callable[[], float] = time.time
    ) -> None:
        self._janitor = janitor
        self._data = data
        self._plan = plan
        self._clock = clock
        self.held = 0
        """Bytes in the data folder, as of the last round."""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.round()
            await asyncio.sleep(EVERY)

    async def round(self) -> None:
        await _safely("backup", self._back_up())
        await _safely("inbox", self._tidy())
        await _safely("budget", self._make_room())

    async def _back_up(self) -> None:
        plan = self._plan
        if not plan.every or backups.age_of_newest(plan.folder, self._clock()) < plan.every:
            return
        made = await asyncio.to_thread(backups.take, self._data, plan.folder, now=self._clock())
        gone = await asyncio.to_thread(backups.prune, plan.folder, plan.keep)
        log.info("backed up", file=made.name, let_go=gone)

    async def _tidy(self) -> None:
        attachments = await asyncio.to_thread(self._janitor.tidy_inbox)
        folders = await asyncio.to_thread(self._janitor.tidy_clips)
        if attachments or folders:
            log.info("threw away what was nobody's", attachments=attachments, clips=folders)

    async def _make_room(self) -> None:
        cleared = await self._janitor.make_room(await asyncio.to_thread(self._janitor.size))
        self.held = cleared.held
        if cleared.clips:
            log.info("made room", clips=cleared.clips, freed=messages.size(cleared.bytes))


async def _safely(what: str, work: Coroutine[Any, Any, None]) -> None:
    """The edge of a round: what cannot be done now is done in the next."""
    try:
        await work
    except (Told, OSError, sqlite3.Error):
        log.exception("upkeep failed", what=what)
