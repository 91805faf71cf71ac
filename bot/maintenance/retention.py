"""Retention: delete prompts and clips after a number of days, and when a user asks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

from bot.maintenance.janitor import remove_file_or_clip
from bot.store.store import DeletedData, Store
from generation.errors import ExplainedError

log = structlog.get_logger(__name__)
SWEEP_INTERVAL = 3600.0
BLANK_INTERVAL = 10.0
"""Seconds between two looks for jobs that ended after their users had deleted their data."""
SECONDS_PER_DAY = 86_400.0


class RetentionSweeper:
    """Deletes jobs' content and clips that are older than `keep_days`; 0 keeps them."""

    def __init__(
        self, *, store: Store, clips: Path, keep_days: int, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._clips = clips.absolute()
        self._keep_days = keep_days
        self._clock = clock

    async def run(self) -> None:
        """Run until cancelled."""
        loop = asyncio.get_running_loop()
        next_sweep = loop.time()
        while True:
            try:
                await self.blank_ended_jobs()
                if loop.time() >= next_sweep:
                    next_sweep = loop.time() + SWEEP_INTERVAL
                    await self.sweep()
            except (ExplainedError, OSError):  # a full disk must not stop the process
                log.exception("retention failed")
            await asyncio.sleep(BLANK_INTERVAL)

    async def blank_ended_jobs(self) -> DeletedData:
        """Delete what jobs kept that ended after their users had deleted their data."""
        deleted = await self._store.blank_ended_jobs()
        await asyncio.to_thread(self._delete, deleted.files)
        return deleted

    async def sweep(self) -> DeletedData:
        before = self._clock() - self._keep_days * SECONDS_PER_DAY if self._keep_days > 0 else None
        deleted = await self._store.delete_expired(before=before)
        await asyncio.to_thread(self._delete, deleted.files)
        if deleted.jobs:
            log.info("deleted old jobs", jobs=deleted.jobs, files=len(deleted.files))
        return deleted

    async def delete_personal_data(self, key: str) -> DeletedData:
        """Delete everything that is stored about the user, with their clips."""
        deleted = await self._store.delete_personal_data(key)
        await asyncio.to_thread(self._delete, deleted.files)
        return deleted

    def _delete(self, files: Iterable[str]) -> None:
        for name in files:
            remove_file_or_clip(Path(name), self._clips)
