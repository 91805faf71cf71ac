"""Retry a write until the disk accepts it."""

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
"""Errors of a full or failing disk, which may pass."""
RETRY_DELAYS = (0.05, 0.2, 1.0, 5.0)
RETRY_TIMEOUT = 300.0
"""Seconds after which the error is raised, so that the operator notices it."""


async def retry_while_disk_refuses(
    operation: Callable[[], Awaitable[T]], *, give_up_after: float = RETRY_TIMEOUT
) -> T:
    """Return the result of `operation`; raise its last error after `give_up_after` seconds of retries."""
    tries, waited = 0, 0.0
    while True:
        try:
            return await operation()
        except DISK_REFUSALS as error:
            if waited >= give_up_after:
                raise
            pause = RETRY_DELAYS[min(tries, len(RETRY_DELAYS) - 1)]
            log.error("the disk refuses a write", reason=str(error), again_in=pause)  # noqa: TRY400  (one line for each try is enough)
            await asyncio.sleep(pause)
            tries, waited = tries + 1, waited + pause


async def write_or_superseded(
    store: Store, job: int, write: Callable[[], Awaitable[Job]], expected_state: JobState
) -> Job | None:
    """Return the job after `write`; None if another change came first.

    A write may succeed although it reported an error. The second try then finds the expected state.
    """
    try:
        return await retry_while_disk_refuses(write)
    except Superseded as error:
        if error.state is expected_state:
            return await retry_while_disk_refuses(lambda: store.job(job))
        log.warning("superseded", job=job, expected=expected_state, found=error.state)
        return None


def simulated_store_failure() -> StoreFailed:
    """The error of the store when its disk fails, for failpoints."""
    return StoreFailed("the database", "scripted")
