"""One status message a job, that only ever moves forward: waiting, then being made, then how it ended."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import IntEnum

REMEMBERED = 5000


class Step(IntEnum):
    WAITING = 0
    WORKING = 1
    ENDED = 2


@dataclass
class _Line:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    step: Step = Step.WAITING


class Board:
    def __init__(self) -> None:
        self._lines: OrderedDict[int, _Line] = OrderedDict()

    async def show(self, job: int, step: Step, edit: Callable[[], Awaitable[None]]) -> bool:
        """Edit, unless something later is shown already; edits of one job never cross."""
        line = self._line(job)
        async with line.lock:
            if step < line.step or (line.step is Step.ENDED and step is Step.ENDED):
                return False
            before, line.step = line.step, step
            try:
                await edit()
            except BaseException:
                line.step = before  # what was not shown may be tried again
                raise
            return True

    @asynccontextmanager
    async def closing(self, job: int) -> AsyncIterator[None]:
        """While the clip is being sent nothing else is shown, nor after; unless it could not be sent."""
        line = self._line(job)
        async with line.lock:
            before, line.step = line.step, Step.ENDED
            try:
                yield
            except BaseException:
                line.step = before
                raise

    def _line(self, job: int) -> _Line:
        line = self._lines.setdefault(job, _Line())
        self._lines.move_to_end(job)
        while len(self._lines) > REMEMBERED:
            self._lines.popitem(last=False)
        return line
