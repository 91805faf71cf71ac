"""Keeps the status message of a job in order: queued, in progress, ended, never backwards."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import IntEnum

MAX_TRACKED_JOBS = 5000


class StatusStep(IntEnum):
    WAITING = 0
    WORKING = 1
    ENDED = 2


@dataclass
class _JobStatus:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    step: StatusStep = StatusStep.WAITING


class StatusOrder:
    def __init__(self) -> None:
        self._statuses: OrderedDict[int, _JobStatus] = OrderedDict()

    async def edit_if_current(self, job: int, step: StatusStep, edit: Callable[[], Awaitable[None]]) -> bool:
        """Edit unless a later step is already shown; edits of one job run one at a time."""
        status = self._status(job)
        async with status.lock:
            if step < status.step or (status.step is StatusStep.ENDED and step is StatusStep.ENDED):
                return False
            before, status.step = status.step, step
            try:
                await edit()
            except BaseException:
                status.step = before  # an edit that failed may be tried again
                raise
            return True

    @asynccontextmanager
    async def final_edit(self, job: int) -> AsyncIterator[None]:
        """Block other edits while the clip is sent, and afterwards unless sending fails."""
        status = self._status(job)
        async with status.lock:
            before, status.step = status.step, StatusStep.ENDED
            try:
                yield
            except BaseException:
                status.step = before
                raise

    def _status(self, job: int) -> _JobStatus:
        status = self._statuses.setdefault(job, _JobStatus())
        self._statuses.move_to_end(job)
        while len(self._statuses) > MAX_TRACKED_JOBS:
            self._statuses.popitem(last=False)
        return status
