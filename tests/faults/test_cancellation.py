"""A caller may be cancelled at any await: no transaction stays open and the ledger stays correct."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import pytest

from bot.domain.errors import USER_ERRORS
from bot.domain.jobs import Action, Job, JobState
from bot.store.store import DATABASE_FILE, Store, Superseded
from bot.studio.studio import Studio, Viewer
from generation.errors import PictureFailed
from tests.bot.app_harness import open_studio
from tests.bot.store.conftest import write_rows
from tests.factories import make_reply_to, make_requester, make_viewer, make_wish, write_clip

pytestmark = pytest.mark.slow

TOTAL_RUNS = 500
BATCH = 100
MAX_LOOP_TURNS = 40
"""More loop turns than any operation takes: it is cancelled at one of them or has finished before."""
REPLY_TO = make_reply_to()
Operation = Callable[[], Coroutine[Any, Any, object]]


@asynccontextmanager
async def store_with_jobs(folder: Path) -> AsyncIterator[tuple[Store, Studio, list[Job]]]:
    """A store and a studio with jobs in every state."""
    async with open_studio(folder, credits_=100_000) as (store, studio, _):
        jobs = [
            (await studio.submit(make_wish(f"a fox {n}"), make_viewer(f"u{n}"), REPLY_TO)).job
            for n in range(12)
        ]
        for _ in range(8):
            job = await store.claim(lease=60)
            assert job is not None
            if job.id % 2:
                await store.mark_rendered(
                    job.id, job.epoch, write_clip(folder / f"{job.id}.mp4", job.request)
                )
        yield store, studio, [await store.job(job.id) for job in jobs]


def operations(store: Store, studio: Studio, job: Job, rng: random.Random, folder: Path) -> list[Operation]:
    """The calls that frontends, worker, delivery and admins make."""
    requester, number, epoch = make_requester(job.requester.user), job.id, job.epoch
    viewer, wish = Viewer(requester=requester, chat=REPLY_TO.chat), make_wish("another fox")
    update = f"u{rng.randrange(50)}"
    return [
        lambda: studio.submit(wish, viewer, REPLY_TO, idempotency_key=update),
        lambda: studio.reroll(number, viewer, REPLY_TO),
        lambda: studio.perform(Action("score", number, "jazz"), viewer, REPLY_TO),
        lambda: studio.cancel(number, viewer),
        lambda: studio.send_again(number, viewer),
        lambda: studio.balance(viewer),
        lambda: studio.change_setting(viewer, "genre", rng.choice(["lofi", None])),
        lambda: studio.administer(f"quota grant {requester.key} 1", make_viewer("boss", admin=True)),
        lambda: studio.administer(f"queue cancel {number}", make_viewer("boss", admin=True)),
        lambda: studio.delete_personal_data(viewer),
        lambda: store.claim(lease=60),
        lambda: store.renew(number, epoch, lease=60),
        lambda: store.mark_picture_done(number, epoch),
        lambda: store.mark_rendered(number, epoch, write_clip(folder / f"{job.id}.mp4", job.request)),
        lambda: store.mark_failed(number, epoch, PictureFailed("testcard", "x")),
        lambda: store.requeue(number, epoch, guilty=False),
        lambda: store.begin_delivery(number),
        lambda: store.mark_delivered(number, "m"),
        lambda: store.mark_uncertain(number),
        lambda: store.mark_not_sent(number),
        lambda: store.mark_undeliverable(number, PictureFailed("testcard", "x")),
        store.requeue_expired,
    ]


async def cancel_after(operation: Operation, turns: int) -> bool:
    """Run it for `turns` loop turns, then cancel it; False if it had already finished."""
    task = asyncio.create_task(operation())
    for _ in range(turns):
        await asyncio.sleep(0)
    cancelled = task.cancel()
    with suppress(asyncio.CancelledError, Superseded, *USER_ERRORS):
        await task
    return cancelled


def check_ledger(folder: Path) -> None:
    """Check through a second connection, which cannot begin a write while a transaction is open."""
    with closing(sqlite3.connect(folder / DATABASE_FILE, timeout=0, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        sums = dict(other.execute("SELECT job, sum(credits) FROM ledger WHERE job IS NOT NULL GROUP BY job"))
        rows = other.execute("SELECT id, state, cost FROM job").fetchall()
        other.execute("ROLLBACK")
    assert sums.keys() == {number for number, *_ in rows}
    for number, state, cost in rows:
        if state == JobState.FAILED:
            assert sums[number] == 0
        elif state != JobState.CANCELLED:  # refunded unless its frames were already generated
            assert sums[number] == -cost


@pytest.mark.parametrize("seed", range(TOTAL_RUNS // BATCH))
async def test_cancelled_at_any_await_nothing_stays_open(tmp_path: Path, seed: int) -> None:
    rng, cancelled = random.Random(seed), 0
    async with store_with_jobs(tmp_path) as (store, studio, jobs):
        for _ in range(BATCH):
            job = await store.job(rng.choice(jobs).id)
            operation = rng.choice(operations(store, studio, job, rng, tmp_path))
            cancelled += await cancel_after(operation, rng.randrange(MAX_LOOP_TURNS))
            await write_rows(store, lambda c: c.execute("SELECT 1").fetchone())  # the writer still works
            check_ledger(tmp_path)
        last = await studio.submit(make_wish("not cancelled"), make_viewer("last"), REPLY_TO)
        check_ledger(tmp_path)
        assert (await store.job(last.job.id)).state is JobState.QUEUED
    assert cancelled > BATCH / 4
