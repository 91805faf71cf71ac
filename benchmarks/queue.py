"""How many jobs per second pass through the store, against huey's SQLite queue? Is a long queue slower?"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from pathlib import Path
from statistics import median
from threading import Thread

from huey import SqliteHuey

from benchmarks.report import Report
from bot.domain.jobs import Draft
from bot.domain.quota import Allowance, Caps
from bot.frontends.common.gc_tuning import freeze_startup_objects
from bot.runtime import event_loop
from bot.store import queue
from bot.store.database import DATABASE_FILE
from bot.store.store import Store
from generation.clip import Clip
from tests.factories import make_draft, make_request

ROUNDS = 11
PRODUCERS = 64
OUR_CYCLES = 3200
HUEY_CYCLES = 640
QUEUE_LENGTHS = (1_000, 1_000_000)
CLIP = Clip(path=Path("clip.mp4"), width=704, height=512, fps=24, frames=121, seconds=5, size=9, audio=True)


def draft_of(user: int) -> Draft:
    request = make_request("a fox runs through fresh snow at dawn", model="ltx", steps=8, guidance=3.0)
    return make_draft(str(user), request=request)


async def our_cycles_per_second(folder: Path) -> float:
    """Cycles of enqueue, claim and finish per second, including quota, caps, fairness and ledger."""
    store = await Store.open(folder)
    allowance, caps = Allowance(credits=10**9), Caps(person=5, all=500)
    drafts = [draft_of(user) for user in range(PRODUCERS)]

    async def produce(user: int) -> None:
        for _ in range(OUR_CYCLES // PRODUCERS):
            await store.enqueue(drafts[user], allowance=allowance, caps=caps)
            job = await store.claim(lease=60)
            assert job is not None
            await store.mark_rendered(job.id, job.epoch, CLIP)

    started = time.perf_counter()
    await asyncio.gather(*(produce(user) for user in range(PRODUCERS)))
    spent = time.perf_counter() - started
    await store.close()
    return OUR_CYCLES / spent


def huey_cycles_per_second(folder: Path, *, fsync: bool, producers: int = PRODUCERS) -> float:
    """The same cycle in huey: enqueue, dequeue, run an empty task and store its result."""
    peer = SqliteHuey("peer", filename=str(folder / "huey.db"), fsync=fsync, results=True)

    @peer.task()  # type: ignore[untyped-decorator]  # huey ships no types
    def make(request: dict[str, object]) -> object:
        return request["seed"]

    request = draft_of(0).request.to_json()

    def produce() -> None:
        for _ in range(HUEY_CYCLES // producers):
            make(request)
            peer.execute(peer.dequeue())

    threads = [Thread(target=produce) for _ in range(producers)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent = time.perf_counter() - started
    peer.storage.close()
    return HUEY_CYCLES / spent


def insert_queued_jobs(folder: Path, rows: int) -> None:
    """Insert queued jobs of a thousand users directly."""
    with closing(sqlite3.connect(folder / DATABASE_FILE)) as connection, connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(job)") if row[1] != "id"]
        values = [
            "value" if name == "turn" else "(value / 1000)" if name == "tag" else name for name in columns
        ]
        connection.execute(
            "WITH RECURSIVE many (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM many WHERE value < ?)"  # noqa: S608  (names of our own columns)
            f" INSERT INTO job ({', '.join(columns)})"
            f" SELECT {', '.join(values)} FROM many, (SELECT * FROM job WHERE id = 1)",
            (rows,),
        )


def timed_claim(c: sqlite3.Connection) -> float:
    """Seconds of a claim without its commit, which depends on the disk."""
    started = time.perf_counter()
    assert queue.claim(c, until=0, now=0) is not None
    return time.perf_counter() - started


async def measure_claims(
    folder: Path, queue_lengths: Sequence[int], times: int = 400
) -> list[tuple[float, ...]]:
    """Seconds of a claim from each queue, taking turns, `times` times."""
    stores = []
    for rows in queue_lengths:
        data = folder / str(rows)
        data.mkdir()
        store = await Store.open(data)
        await store.enqueue(draft_of(0), allowance=Allowance(credits=9), caps=Caps())
        await store.close()
        insert_queued_jobs(data, rows)
        stores.append(await Store.open(data))
    databases = [store._database for store in stores]  # noqa: SLF001  (a claim without its commit)
    found = [tuple([await each.write(timed_claim) for each in databases]) for _ in range(times)]
    for store in stores:
        await store.close()
    return found


async def fsync_seconds(folder: Path) -> float:
    """Seconds of one small fsync on this disk: the least that any durable commit takes."""

    def measure() -> float:
        times = []
        with (folder / "probe").open("wb") as file:
            for _ in range(30):
                file.write(b"x" * 4096)
                file.flush()
                started = time.perf_counter()
                os.fsync(file.fileno())
                times.append(time.perf_counter() - started)
        return median(times)

    return await asyncio.to_thread(measure)


async def in_temporary_folder(measure: Callable[[Path], Awaitable[float]]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        return await measure(Path(folder))


async def measure_all() -> dict[str, float]:
    async def synced(folder: Path) -> float:
        return huey_cycles_per_second(folder, fsync=True)

    async def unsynced(folder: Path) -> float:
        return huey_cycles_per_second(folder, fsync=False)

    async def alone(folder: Path) -> float:
        return huey_cycles_per_second(folder, fsync=True, producers=1)

    ways = {
        "ours": our_cycles_per_second,
        "huey, fsync": synced,
        "huey, no fsync": unsynced,
        "huey, fsync, one producer": alone,
    }
    rounds = [{name: await in_temporary_folder(way) for name, way in ways.items()} for _ in range(ROUNDS)]
    found = {name: median(figures[name] for figures in rounds) for name in ways}
    for peer in list(ways)[1:]:  # paired within a round: a slow moment affects both
        found[f"ours / {peer}"] = median(figures["ours"] / figures[peer] for figures in rounds)
    found["fsync ms"] = 1000 * await in_temporary_folder(fsync_seconds)
    with tempfile.TemporaryDirectory() as folder:
        pairs = await measure_claims(Path(folder), QUEUE_LENGTHS)
    for rows, seconds in zip(QUEUE_LENGTHS, zip(*pairs, strict=True), strict=True):
        found[f"claim ms, {rows} rows"] = 1000 * median(seconds)
    found["claim, long / short"] = median(long / short for short, long in pairs)
    return found


def main() -> None:
    logging.disable(logging.INFO)  # huey logs every task
    freeze_startup_objects()  # as the bot does; both queues run in this process
    found = event_loop.run(measure_all())
    report = Report("Is the queue fast, also when it is long?", figures=found)
    report.table(("figure", "value"), [(name, f"{value:.3f}") for name, value in found.items()])
    report.goal("cycles per second, ours / huey with fsync", found["ours / huey, fsync"], ">=", 5)
    report.goal("claim at 1,000,000 rows / at 1,000", found["claim, long / short"], "<=", 2)
    report.finish()


if __name__ == "__main__":
    main()
