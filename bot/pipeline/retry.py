"""What must be written is written again and again while the disk refuses it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from bot.domain.errors import StoreFailed
from bot.domain.jobs import Job, JobState
from bot.store.store import Store, Superseded
from generation.errors import DiskFull

log = structlog.get_logger(__name__)
T = TypeVar("T")

DISK_REFUSALS = (StoreFailed, DiskFull)
"""The disk says no today, and may say yes tomorrow."""
RETRY_DELAYS = (0.05, 0.2, 1.0, 5.0)
RETRY_TIMEOUT = 300.0
"""Seconds after which it is for whoever started us to see what is wrong with the disk."""


async def retry_while_disk_refuses(
    operation: Callable[[], Awaitable[T]], *, give_up_after: float = RETRY_TIMEOUT
) -> T:
    """What `verb` returns, once the disk lets it; its refusal if that goes on for longer than `patience`."""
    tries, waited = 0, 0.0
    while True:
        try:
            return await operation()
        except DISK_REFUSALS as error:
            if waited >= give_up_after:
                raise
            pause = RETRY_DELAYS[min(tries, len(RETRY_DELAYS) - 1)]
            log.error("the disk refuses", reason=str(error), again_in=pause)  # noqa: TRY400  (a line a try will do)
            await asyncio.sleep(pause)
            tries, waited = tries + 1, waited + pause


async def write_or_superseded(
    store: Store, job: int, write: Callable[[], Awaitable[Job]], expected_state: JobState
) -> Job | None:
    """The job as `verb` leaves it; None where it has gone another way meanwhile.

    A write may be safe although its answer was a refusal: the second try then finds the job as wanted.
    """
    try:
        return await retry_while_disk_refuses(write)
    except Superseded as error:
        if error.state is expected_state:
            return await retry_while_disk_refuses(lambda: store.job(job))
        log.warning("gone another way", job=job, wanted=expected_state, found=error.state)
        return None


def simulated_store_failure() -> StoreFailed:
    """As the store fails when its disk does: for failpoints."""
    return StoreFailed("the database", "scripted")
