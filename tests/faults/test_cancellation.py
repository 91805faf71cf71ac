"""Whoever stops waiting, at whichever await: no transaction stays open and the books hold."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import pytest

from bot.domain.errors import PERSONAL
from bot.domain.jobs import Action, Job, ReplyTo, State
from bot.store.store import FILE, Store, Superseded
from generation.clip import Clip
from generation.errors import PaintFailed
from generation.request import Wish
from tests.bot.app_harness import Watched, house_of, who

RUNS = 500
BATCH = 100
TURNS = 40
"""More turns of the loop than any verb takes: it is cancelled at one of them, or has ended before."""
REPLY = ReplyTo(platform="fake", chat="c")
Verb = Callable[[], Coroutine[Any, Any, object]]


@asynccontextmanager
async def busy(folder: Path) -> AsyncIterator[tuple[Store, Watched, list[Job]]]:
    """A house with jobs in every state."""
    async with house_of(folder, credits_=100_000) as (store, studio):
        jobs = [
            (await studio.submit(Wish(prompt=f"a fox {n}", model="testcard"), who(f"u{n}"), REPLY)).job
            for n in range(12)
        ]
        for _ in range(8):
            job = await store.claim(lease=60)
            assert job is not None
            if job.id % 2:
                await store.rendered(job.id, job.epoch, clip(job, folder))
        yield store, studio, [await store.job(job.id) for job in jobs]


def clip(job: Job, folder: Path) -> Clip:
    path = folder / f"{job.id}.mp4"
    path.write_bytes(b"a clip")
    asked = job.request
    return Clip(
        path=path,
        width=asked.width,
        height=asked.height,
        fps=asked.fps,
        frames=asked.frames,
        seconds=asked.seconds,
        size=6,
        audio=True,
    )


def verbs(store: Store, studio: Watched, job: Job, draw: random.Random, folder: Path) -> list[Verb]:
    """What the chats, the worker, the delivery and the admins call."""
    person, number, epoch = who(job.requester.user), job.id, job.epoch
    wish = Wish(prompt="another fox", model="testcard")
    update = f"u{draw.randrange(50)}"
    return [
        lambda: studio.submit(wish, person, REPLY, update=update),
        lambda: studio.reroll(number, person, REPLY),
        lambda: studio.act(Action("score", number, "jazz"), person, REPLY),
        lambda: studio.cancel(number, person),
        lambda: studio.send_again(number, person),
        lambda: studio.balance(person),
        lambda: studio.change_setting(person.key, "genre", draw.choice(["lofi", None])),
        lambda: studio.admin.perform(f"quota grant {person.key} 1", who("boss", admin=True)),
        lambda: studio.admin.perform(f"queue cancel {number}", who("boss", admin=True)),
        lambda: studio.forget(person),
        lambda: store.claim(lease=60),
        lambda: store.renew(number, epoch, lease=60),
        lambda: store.painted(number, epoch),
        lambda: store.rendered(number, epoch, clip(job, folder)),
        lambda: store.failed(number, epoch, PaintFailed("testcard", "x")),
        lambda: store.requeue(number, epoch, guilty=False),
        lambda: store.begin_delivery(number),
        lambda: store.delivered(number, "m"),
        lambda: store.doubtful(number),
        lambda: store.not_sent(number),
        lambda: store.delivery_failed(number, PaintFailed("testcard", "x")),
        store.free_expired,
    ]


async def cut_short(verb: Verb, turns: int) -> bool:
    """Let it run for so many turns of the loop, then cancel it wherever it waits; False if it had ended."""
    task = asyncio.create_task(verb())
    for _ in range(turns):
        await asyncio.sleep(0)
    waited = task.cancel()
    with suppress(asyncio.CancelledError, Superseded, *PERSONAL):
        await task
    return waited


def books(folder: Path) -> None:
    """Read by somebody else, who could not write if a transaction were still open."""
    with closing(sqlite3.connect(folder / FILE, timeout=0, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        sums = dict(other.execute("SELECT job, sum(credits) FROM ledger WHERE job IS NOT NULL GROUP BY job"))
        rows = other.execute("SELECT id, state, cost FROM job").fetchall()
        other.execute("ROLLBACK")
    assert sums.keys() == {number for number, *_ in rows}
    for number, state, cost in rows:
        if state == State.FAILED:
            assert sums[number] == 0
        elif state != State.CANCELLED:  # which is refunded unless it was painted
            assert sums[number] == -cost


@pytest.mark.parametrize("seed", range(RUNS // BATCH))
async def test_cancelled_at_any_await_nothing_stays_open(tmp_path: Path, seed: int) -> None:
    draw, cut = random.Random(seed), 0
    async with busy(tmp_path) as (store, studio, jobs):
        for _ in range(BATCH):
            job = await store.job(draw.choice(jobs).id)
            verb = draw.choice(verbs(store, studio, job, draw, tmp_path))
            cut += await cut_short(verb, draw.randrange(TURNS))
            await store.database.write(lambda c: c.execute("SELECT 1").fetchone())  # the writer still serves
            books(tmp_path)
        last = await studio.submit(Wish(prompt="uncut", model="testcard"), who("patient"), REPLY)
        books(tmp_path)
        assert (await store.job(last.job.id)).state is State.QUEUED  # who is not cut is served as ever
    assert cut > BATCH / 4
