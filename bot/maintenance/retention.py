"""Retention: prompts and clips go when their days are over, and when a person asks."""

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
SECONDS_PER_DAY = 86_400.0


class RetentionSweeper:
    """Cleans `clips` and the store of what is older than `keep_days`; 0 keeps people's clips."""

    def __init__(
        self, *, store: Store, clips: Path, keep_days: int, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._clips = clips.absolute()
        self._keep_days = keep_days
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.sweep()
            except (ExplainedError, OSError):  # a full disk now is no reason to stop serving
                log.exception("could not clean away")
            await asyncio.sleep(SWEEP_INTERVAL)

    async def sweep(self) -> DeletedData:
        before = self._clock() - self._keep_days * SECONDS_PER_DAY if self._keep_days > 0 else None
        swept = await self._store.delete_expired(before=before)
        await asyncio.to_thread(self._delete, swept.files)
        if swept.jobs:
            log.info("cleaned away", jobs=swept.jobs, files=len(swept.files))
        return swept

    async def delete_personal_data(self, key: str) -> DeletedData:
        """Everything kept about a person, their clips too."""
        swept = await self._store.delete_personal_data(key)
        await asyncio.to_thread(self._delete, swept.files)
        return swept

    def _delete(self, files: Iterable[str]) -> None:
        for name in files:
            remove_file_or_clip(Path(name), self._clips)
