"""Retention: prompts and clips go when their days are over, and when a person asks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

from bot.maintenance.janitor import remove
from bot.store.store import Store, Swept
from generation.errors import Told

log = structlog.get_logger(__name__)
EVERY = 3600.0
DAY = 86_400.0


class Sweeper:
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
            except (Told, OSError):  # a full disk now is no reason to stop serving
                log.exception("could not clean away")
            await asyncio.sleep(EVERY)

    async def sweep(self) -> Swept:
        before = self._clock() - self._keep_days * DAY if self._keep_days > 0 else None
        swept = await self._store.sweep(before=before)
        await asyncio.to_thread(self._delete, swept.files)
        if swept.jobs:
            log.info("cleaned away", jobs=swept.jobs, files=len(swept.files))
        return swept

    async def forget(self, key: str) -> Swept:
        """Everything kept about a person, their clips too."""
        swept = await self._store.forget(key)
        await asyncio.to_thread(self._delete, swept.files)
        return swept

    def _delete(self, files: Iterable[str]) -> None:
        for name in files:
            remove(Path(name), self._clips)
