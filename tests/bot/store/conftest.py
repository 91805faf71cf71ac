"""A real database in a temporary folder, and values to put in it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest

from bot.domain.jobs import Draft, Job
from bot.domain.quota import Allowance, Caps
from bot.store import queue
from bot.store.store import Store
from generation.clip import Clip
from generation.errors import ExplainedError
from tests.factories import make_draft

T = TypeVar("T")
NOON = 1_790_000_000.0 // 86_400 * 86_400 + 43_200
CLIP = Clip(path=Path("17/clip.mp4"), width=256, height=256, fps=24, frames=24, seconds=1, size=9, audio=True)


@dataclass
class Clock:
    """A clock that changes only when a test sets it."""

    now: float = NOON

    def __call__(self) -> float:
        return self.now


@dataclass
class StoreHarness:
    """A store with generous limits, so that a test names only the limits that it checks."""

    store: Store
    clock: Clock
    monotonic: Clock
    allowance: Allowance = field(default_factory=lambda: Allowance(credits=1000))
    caps: Caps = field(default_factory=Caps)

    async def ask(self, draft: Draft | None = None) -> Job:
        done = await self.store.enqueue(draft or make_draft(), allowance=self.allowance, caps=self.caps)
        return done.job

    async def claim(self) -> Job:
        job = await self.store.claim(lease=60)
        assert job is not None
        return job

    async def render(self) -> Job:
        job = await self.claim()
        await self.store.mark_rendered(job.id, job.epoch, CLIP)
        return await self.store.job(job.id)

    async def credits_left(self, key: str = "discord:42") -> int:
        return (await self.store.balance(key, self.allowance)).left


HOLD_RUNNING = """
UPDATE job SET state = 'held', error = :error, attempt = attempt + 1, lease_until = NULL
WHERE id = :job AND epoch = coalesce(:epoch, epoch) AND state = 'running' RETURNING *
"""


def hold_running(c: sqlite3.Connection, job: int, error: ExplainedError, epoch: int | None = None) -> Job:
    """Hold a job that has no clip. Matinee holds only clips, but releases and rejects such rows too."""
    return queue.update_job(c, HOLD_RUNNING, job=job, error=json.dumps(error.to_json()), epoch=epoch)


async def hold_running_job(store: Store, job: int, error: ExplainedError) -> Job:
    return await write_rows(store, lambda c: hold_running(c, job, error))


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[StoreHarness]:
    clock, monotonic = Clock(), Clock(1000.0)
    store = await Store.open(tmp_path, clock=clock, monotonic=monotonic)
    yield StoreHarness(store, clock, monotonic)
    await store.close()


async def read_rows(store: Store, work: Callable[[sqlite3.Connection], T]) -> T:
    """Run `work` in a read transaction, for queries that the store has no method for."""
    return await store._database.read(work)


async def write_rows(store: Store, work: Callable[[sqlite3.Connection], T]) -> T:
    """Run `work` in a write transaction, for changes that the store has no method for."""
    return await store._database.write(work)
