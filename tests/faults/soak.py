"""A month with two hundred people, faults and daily restarts, in a minute: `python -m tests.faults.soak`.

Studio, store verbs, worker, delivery and sweeper are the real ones on a real database; the engine, the chats
and the people only take time, by a clock of the test's own. The same seed gives the same trace.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import random
import resource
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from bot.domain.quota import Allowance, Caps
from bot.maintenance.integrity_check import look_over
from bot.maintenance.retention import Sweeper
from bot.pipeline.delivery import Delivery
from bot.pipeline.worker import Worker
from bot.store.store import FILE, Store
from bot.studio.studio import House, Studio
from tests.bot.app_harness import GENRES, POLICY, PRESETS
from tests.faults.simulation import Chat, Painter, Person, Trace, smaller
from tests.faults.virtual_clock import TURN, Clockwork, Inline

DAY = 86_400.0
START = 1_790_000_000.0 // DAY * DAY
GRACE = 30.0
KEEP_DAYS = 7
IDLE = 900.0
"""Seconds between looks at an empty line: whoever has something to say rings."""
CHARGED = ("rendered", "delivering", "delivered", "uncertain")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    seed: int = 1
    days: int = 30
    people: int = 200


@dataclass(slots=True)
class Outcome:
    """`wrong` is empty if every promise held."""

    jobs: int = 0
    states: Counter[str] = field(default_factory=Counter)
    said: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    blocks: list[int] = field(default_factory=list)  # of Python's memory, each evening
    grown: list[int] = field(default_factory=list)  # of them, from each morning to its evening
    resident: list[int] = field(default_factory=list)  # kilobytes, each evening
    digest: str = ""
    events: int = 0

    def slope(self, series: list[int]) -> float:
        """A day's growth, once everything was loaded and every cache is full."""
        settled = series[len(series) // 3 :]
        if len(settled) < 2:
            return 0.0
        return statistics.linear_regression(range(len(settled)), settled).slope


class Soak:
    def __init__(self, plan: Plan, folder: Path, loop: Clockwork) -> None:
        self.plan, self.folder, self.loop = plan, folder, loop
        self.trace = Trace(loop.time)
        self.outcome = Outcome()
        self.chats = {
            name: Chat(name, deduplicates, plan.seed, self.trace)
            for name, deduplicates in (("discord", True), ("telegram", False))
        }
        self.again: set[int] = set()
        self._dice = random.Random(f"{plan.seed} house")
        self._studio: Studio | None = None
        self._rooms: list[asyncio.Task[None]] = []
        self._kept: set[asyncio.Task[object]] = set()

    async def month(self) -> Outcome:
        people = [
            Person(number, self.plan.seed, self.trace, self.outcome.said, self.again)
            for number in range(self.plan.people)
        ]
        lives = [asyncio.create_task(person.live(lambda: self._studio)) for person in people]
        for day in range(self.plan.days):
            await self._open()
            await asyncio.sleep(self._until(day, hours=1))
            morning = self._memory()
            await asyncio.sleep(self._until(day, hours=23))
            self.outcome.grown.append(self._memory() - morning)
            await asyncio.sleep(self._dice.uniform(0, 600))
            await self._end(kindly=day % 2 == 0)
            self._look_over(day)
            await asyncio.sleep(self._dice.uniform(5, 300))
        for life in lives:
            life.cancel()
        await asyncio.gather(*lives, return_exceptions=True)
        await self._finish()
        self.outcome.digest, self.outcome.events = self.trace.digest, self.trace.events
        return self.outcome

    def _until(self, day: int, *, hours: float) -> float:
        return max(0.0, day * DAY + hours * 3600 - self.loop.now)

    def _wall(self) -> float:
        return START + self.loop.now

    async def _open(self) -> None:
        self.trace.note("open")
        self.database = Inline(self.folder)
        self._kept = set(self.loop.tasks)
        store = Store(self.database, self._wall, self.loop.time)
        found = await store.recover({"discord"})
        house = House(
            model="testcard",
            maker="band",
            allowance=Allowance(credits=5),
            caps=Caps(person=4, community=30, all=60, burst=6),
            data=self.folder,
            disk_floor=0,
            slots=2,
        )
        studio = Studio(store=store, house=house, presets=PRESETS, genres=GENRES, policy=POLICY)
        delivery = Delivery(store=store, frontends=self.chats, fit=smaller)
        painter = Painter(self.plan.seed, self.trace)
        self.worker = Worker(
            store=store, engine=painter, presets=PRESETS, clips=self.folder / "clips", delivery=delivery
        )
        self.worker.idle = delivery.idle = IDLE
        sweeper = Sweeper(store=store, clips=self.folder / "clips", keep_days=KEEP_DAYS, clock=self._wall)
        studio.on_work, studio.on_cancel = self.worker.ring, self.worker.stop
        studio.on_rendered, studio.on_ended = delivery.ring, delivery.ended
        for number in found.uncertain:
            delivery.ended(await store.job(number))
        self._rooms = [asyncio.create_task(room.run()) for room in (self.worker, delivery, sweeper)]
        self._studio = studio

    async def _end(self, *, kindly: bool) -> None:
        """As after SIGTERM, or as after a kill -9 in the middle of everything."""
        assert self._studio is not None
        self.trace.note("end", kindly)
        if kindly:
            self._studio.close_doors("a restart")
            self.worker.drain()
            await asyncio.wait([asyncio.create_task(self.worker.drained.wait())], timeout=GRACE)
        else:
            self.database.dead = True
        self._studio = None
        dying = self._rooms if kindly else list(filter(self._mortal, self.loop.tasks))
        for task in dying:
            task.cancel()
        await asyncio.gather(*dying, return_exceptions=True)
        await self.database.close()

    def _mortal(self, task: asyncio.Task[object]) -> bool:
        """People outlive a crash, and whatever they are asking just then is answered by it."""
        return task not in self._kept and task.get_name() != TURN

    async def _finish(self) -> None:
        """Nobody asks any more: whatever waits is made and sent."""
        await self._open()
        deadline = self.loop.now + 3 * DAY
        while await self._unfinished() and self.loop.now < deadline:  # noqa: ASYNC110  (it looks at a database)
            await asyncio.sleep(60)
        await self._end(kindly=True)
        self._look_over(self.plan.days)
        self._count()

    async def _unfinished(self) -> int:
        sql = "SELECT count(*) FROM job WHERE state IN ('queued', 'running', 'rendered', 'delivering')"
        count: int = await self.database.read(lambda c: c.execute(sql).fetchone()[0])
        return count

    def _memory(self) -> int:
        gc.collect()
        return sys.getallocatedblocks()

    def _look_over(self, day: int) -> None:
        report = look_over(self.folder)
        if not report.sound:
            self.outcome.wrong += [f"day {day}: {one}" for one in report.found]
        self.outcome.blocks.append(self._memory())
        self.outcome.resident.append(_resident())

    def _count(self) -> None:
        wrong, outcome = self.outcome.wrong, self.outcome
        with closing(sqlite3.connect(self.folder / FILE)) as c:
            jobs = c.execute("SELECT id, state, cost, painted, clip FROM job ORDER BY id").fetchall()
            total = c.execute("SELECT coalesce(sum(credits), 0) FROM ledger").fetchone()[0]
        outcome.jobs = len(jobs)
        outcome.states = Counter(state for _, state, *_ in jobs)
        charged = 0
        for number, state, cost, painted, _ in jobs:
            times = sum(chat.times(number) for chat in self.chats.values())
            charged += cost if state in CHARGED or (state == "cancelled" and painted) else 0
            if times > 1 and number not in self.again:
                wrong.append(f"clip {number} was shown {times} times")
            if state == "delivered" and not times:
                wrong.append(f"clip {number} was lost: nobody saw it")
            if state in {"queued", "running", "rendered", "delivering"}:
                wrong.append(f"clip {number} never came to an end: {state}")
            if state == "cancelled" and times:
                wrong.append(f"clip {number} was cancelled and yet shown")
        if total != -charged:
            wrong.append(f"the ledger says {-total}, the clips cost {charged}")


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1]) if Path("/proc").is_dir() else 0
    return pages * resource.getpagesize() // 1024


async def _found(folder: Path) -> None:
    """The real store makes its schema."""
    await (await Store.open(folder)).close()


def soak(plan: Plan) -> Outcome:
    """The folder lies in memory where there is such a thing: no power is cut here."""
    quick = Path("/dev/shm")  # noqa: S108  (only a faster place for a folder of our own)
    folder = Path(tempfile.mkdtemp(prefix="matinee-soak-", dir=quick if os.access(quick, os.W_OK) else None))
    asyncio.run(_found(folder))
    loop = Clockwork()
    try:
        return loop.run_until_complete(Soak(plan, folder, loop).month())
    finally:
        loop.close()
        shutil.rmtree(folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("seed", 1), ("days", 30), ("people", 200)):
        parser.add_argument(f"--{name}", type=int, default=value)
    plan = Plan(**vars(parser.parse_args()))
    structlog.configure(
        processors=[structlog.processors.KeyValueRenderer()], logger_factory=structlog.ReturnLoggerFactory()
    )
    began = time.perf_counter()
    outcome = soak(plan)
    say = sys.stdout.write
    took, worked = time.perf_counter() - began, time.process_time()
    say(f"{plan.days} days, {plan.people} people, seed {plan.seed}: {took:.0f} s, {worked:.0f} s of work\n")
    say(f"{outcome.jobs} clips: {dict(outcome.states.most_common())}\n")
    say(f"people: {dict(outcome.said.most_common())}\n")
    say(f"memory a day: {outcome.slope(outcome.blocks):+.0f} of {outcome.blocks[-1]} blocks, ")
    say(f"{outcome.slope(outcome.resident):+.0f} of {outcome.resident[-1]} kB; ")
    say(f"from morning to evening {statistics.mean(outcome.grown[1:] or [0]):+.0f} blocks\n")
    say(f"trace {outcome.digest} of {outcome.events} events\n")
    say("\n".join(outcome.wrong) + "\n" if outcome.wrong else "nothing lost, nothing doubled, ledger exact\n")
    return 1 if outcome.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
