"""What must be written is written again and again while the disk refuses it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from bot.domain.errors import StoreFailed
from bot.domain.jobs import Job, State
from bot.store.store import Store, Superseded
from generation.errors import DiskFull

log = structlog.get_logger(__name__)
T = TypeVar("T")

REFUSED = (StoreFailed, DiskFull)
"""The disk says no today, and may say yes tomorrow."""
PAUSES = (0.05, 0.2, 1.0, 5.0)
PATIENCE = 300.0
"""Seconds after which it is for whoever started us to see what is wrong with the disk."""


async def insist(verb: Callable[[], Awaitable[T]], *, patience: float = PATIENCE) -> T:
    """What `verb` returns, once the disk lets it; its refusal if that goes on for longer than `patience`."""
    tries, waited = 0, 0.0
    while True:
        try:
            return await verb()
        except REFUSED as error:
            if waited >= patience:
                raise
            pause = PAUSES[min(tries, len(PAUSES) - 1)]
            log.error("the disk refuses", reason=str(error), again_in=pause)  # noqa: TRY400  (a line a try will do)
            await asyncio.sleep(pause)
            tries, waited = tries + 1, waited + pause


async def settled(store: Store, job: int, verb: Callable[[], Awaitable[Job]], wanted: State) -> Job | None:
    """The job as `verb` leaves it; None where it has gone another way meanwhile.

    A write may be safe although its answer was a refusal: the second try then finds the job as wanted.
    """
    try:
        return await insist(verb)
    except Superseded as gone:
        if gone.state is wanted:
            return await insist(lambda: store.job(job))
        log.warning("gone another way", job=job, wanted=wanted, found=gone.state)
        return None


def ill() -> StoreFailed:
    """As the store fails when its disk does: for failpoints."""
    return StoreFailed("the database", "scripted")
