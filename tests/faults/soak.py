"""`python -m tests.faults.soak` simulates a month with 200 users, faults and daily restarts in a minute.

Studio, store, worker, delivery and sweeper are real and use a real database. Engine, chats and users are
simulated on a virtual clock. The same seed gives the same trace.
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
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from bot.domain.operator import OperatorPolicy
from bot.domain.quota import Allowance, Caps
from bot.maintenance.integrity_check import check_data_folder
from bot.runtime import frontend_registry
from bot.runtime.composition import compose
from bot.store.store import DATABASE_FILE, Store
from bot.studio.catalog import Catalog
from bot.studio.studio import Studio
from tests.bot.app_harness import GENRES, POLICY, PRESETS
from tests.faults.simulation import EventTrace, SimulatedChat, SimulatedEngine, SimulatedUser, shrink_clip
from tests.faults.virtual_clock import TRANSACTION_TASK_NAME, InlineDatabase, VirtualClockLoop

DAY = 86_400.0
START_TIME = 1_790_000_000.0 // DAY * DAY
GRACE = 30.0
KEEP_DAYS = 7
IDLE_SECONDS = 900.0
"""Seconds between polls of an empty queue; new work wakes the services anyway."""
CHARGED_STATES = ("rendered", "delivering", "delivered", "uncertain")


@dataclass(frozen=True, slots=True, kw_only=True)
class SoakPlan:
    seed: int = 1
    days: int = 30
    people: int = 200


@dataclass(slots=True)
class SoakResult:
    """What a run found; `problems` is empty if everything held."""

    jobs: int = 0
    states: Counter[str] = field(default_factory=Counter)
    user_outcomes: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    memory_blocks: list[int] = field(default_factory=list)  # allocated by Python, each evening
    daily_growth: list[int] = field(default_factory=list)  # in blocks, from each morning to its evening
    resident_kilobytes: list[int] = field(default_factory=list)  # each evening
    digest: str = ""
    events: int = 0

    def growth_per_day(self, series: list[int]) -> float:
        """Growth per day after warm-up."""
        after_warm_up = series[len(series) // 3 :]
        if len(after_warm_up) < 2:
            return 0.0
        return statistics.linear_regression(range(len(after_warm_up)), after_warm_up).slope


class Soak:
    def __init__(self, plan: SoakPlan, folder: Path, loop: VirtualClockLoop) -> None:
        self.plan, self.folder, self.loop = plan, folder, loop
        self.trace = EventTrace(loop.time)
        self.result = SoakResult()
        self.chats = {
            name: SimulatedChat(name, deduplicates, plan.seed, self.trace)
            for name, deduplicates in (("discord", True), ("telegram", False))
        }
        self.resent_jobs: set[int] = set()
        self._rng = random.Random(f"{plan.seed} bot")
        self._studio: Studio | None = None
        self._service_tasks: list[asyncio.Task[None]] = []
        self._surviving_tasks: set[asyncio.Task[object]] = set()

    async def run(self) -> SoakResult:
        users = [
            SimulatedUser(number, self.plan.seed, self.trace, self.result.user_outcomes, self.resent_jobs)
            for number in range(self.plan.people)
        ]
        user_tasks = [asyncio.create_task(user.run(lambda: self._studio)) for user in users]
        for day in range(self.plan.days):
            await self._start_bot()
            await asyncio.sleep(self._until(day, hours=1))
            morning = self._allocated_blocks()
            await asyncio.sleep(self._until(day, hours=23))
            self.result.daily_growth.append(self._allocated_blocks() - morning)
            await asyncio.sleep(self._rng.uniform(0, 600))
            await self._stop_bot(graceful=day % 2 == 0)
            self._check_day(day)
            await asyncio.sleep(self._rng.uniform(5, 300))
        for task in user_tasks:
            task.cancel()
        await asyncio.gather(*user_tasks, return_exceptions=True)
        await self._finish()
        self.result.digest, self.result.events = self.trace.digest, self.trace.events
        return self.result

    def _until(self, day: int, *, hours: float) -> float:
        return max(0.0, day * DAY + hours * 3600 - self.loop.now)

    def _wall_clock(self) -> float:
        return START_TIME + self.loop.now

    async def _start_bot(self) -> None:
        self.trace.record("open")
        self.database = InlineDatabase(self.folder)
        self._surviving_tasks = set(self.loop.pending_tasks)
        store = Store(self.database, self._wall_clock, self.loop.time)
        recovered = await store.recover({"discord"})
        app = compose(
            store=store,
            engine=SimulatedEngine(self.plan.seed, self.trace),
            frontend_factories={name: self._existing_chat(name) for name in self.chats},
            operator_policy=OperatorPolicy(
                allowance=Allowance(credits=5),
                caps=Caps(person=4, community=30, all=60, burst=6),
                data_folder=self.folder,
                min_free_disk=0,
                engine_slots=2,
                platforms=frontend_registry.shipped().platforms,
            ),
            catalog=Catalog(presets=PRESETS, genres=GENRES, default_model="testcard", default_maker="band"),
            prompt_policy=POLICY,
            fit=shrink_clip,
            keep_days=KEEP_DAYS,
            clock=self._wall_clock,
        )
        self.worker = app.worker
        app.worker.poll_interval = app.delivery.poll_interval = IDLE_SECONDS
        for number in recovered.uncertain:
            app.delivery.show_final_status(await store.job(number))
        self._service_tasks = [
            asyncio.create_task(service.run()) for service in (app.worker, app.delivery, app.sweeper)
        ]
        self._studio = app.studio

    def _existing_chat(self, name: str) -> Callable[[Studio], SimulatedChat]:
        """A factory of the chat that was there before the restart of the bot."""
        return lambda _: self.chats[name]

    async def _stop_bot(self, *, graceful: bool) -> None:
        """Stop as after SIGTERM, or as after kill -9."""
        assert self._studio is not None
        self.trace.record("end", graceful)
        if graceful:
            self._studio.stop_accepting("a restart")
            self.worker.drain()
            await asyncio.wait([asyncio.create_task(self.worker.drained.wait())], timeout=GRACE)
        else:
            self.database.killed = True
        self._studio = None
        dying = (
            self._service_tasks if graceful else list(filter(self._dies_with_bot, self.loop.pending_tasks))
        )
        for task in dying:
            task.cancel()
        await asyncio.gather(*dying, return_exceptions=True)
        await self.database.close()

    def _dies_with_bot(self, task: asyncio.Task[object]) -> bool:
        """Whether a crash ends the task. Users survive it; their open calls fail with StoreKilled."""
        return task not in self._surviving_tasks and task.get_name() != TRANSACTION_TASK_NAME

    async def _finish(self) -> None:
        """No new requests: let every waiting job be rendered and sent."""
        await self._start_bot()
        deadline = self.loop.now + 3 * DAY
        while await self._unfinished_count() and self.loop.now < deadline:  # noqa: ASYNC110  (it polls a database)
            await asyncio.sleep(60)
        await self._stop_bot(graceful=True)
        self._check_day(self.plan.days)
        self._check_totals()

    async def _unfinished_count(self) -> int:
        sql = "SELECT count(*) FROM job WHERE state IN ('queued', 'running', 'rendered', 'delivering')"
        count: int = await self.database.read(lambda c: c.execute(sql).fetchone()[0])
        return count

    def _allocated_blocks(self) -> int:
        gc.collect()
        return sys.getallocatedblocks()

    def _check_day(self, day: int) -> None:
        report = check_data_folder(self.folder)
        if not report.sound:
            self.result.problems += [f"day {day}: {problem}" for problem in report.problems]
        self.result.memory_blocks.append(self._allocated_blocks())
        self.result.resident_kilobytes.append(_resident_kilobytes())

    def _check_totals(self) -> None:
        problems, outcome = self.result.problems, self.result
        with closing(sqlite3.connect(self.folder / DATABASE_FILE)) as c:
            jobs = c.execute("SELECT id, state, cost, painted, clip FROM job ORDER BY id").fetchall()
            total = c.execute("SELECT coalesce(sum(credits), 0) FROM ledger").fetchone()[0]
        outcome.jobs = len(jobs)
        outcome.states = Counter(state for _, state, *_ in jobs)
        charged = 0
        for number, state, cost, painted, _ in jobs:
            times = sum(chat.times_shown(number) for chat in self.chats.values())
            charged += cost if state in CHARGED_STATES or (state == "cancelled" and painted) else 0
            if times > 1 and number not in self.resent_jobs:
                problems.append(f"clip {number} was shown {times} times")
            if state == "delivered" and not times:
                problems.append(f"clip {number} was lost: it was never shown")
            if state in {"queued", "running", "rendered", "delivering"}:
                problems.append(f"clip {number} never reached a final state: {state}")
            if state == "cancelled" and times:
                problems.append(f"clip {number} was cancelled and yet shown")
        if total != -charged:
            problems.append(f"the ledger charged {-total}, the clips cost {charged}")


def _resident_kilobytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1]) if Path("/proc").is_dir() else 0
    return pages * resource.getpagesize() // 1024


async def _create_schema(folder: Path) -> None:
    """Create the schema with the real store."""
    await (await Store.open(folder)).close()


def run_soak(plan: SoakPlan) -> SoakResult:
    """Run in a RAM disk if there is one; durability is tested elsewhere."""
    ram_disk = Path("/dev/shm")  # noqa: S108  (only a faster place for our own folder)
    parent = ram_disk if os.access(ram_disk, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="matinee-soak-", dir=parent))
    asyncio.run(_create_schema(folder))
    loop = VirtualClockLoop()
    try:
        return loop.run_until_complete(Soak(plan, folder, loop).run())
    finally:
        loop.close()
        shutil.rmtree(folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("seed", 1), ("days", 30), ("people", 200)):
        parser.add_argument(f"--{name}", type=int, default=value)
    plan = SoakPlan(**vars(parser.parse_args()))
    structlog.configure(
        processors=[structlog.processors.KeyValueRenderer()], logger_factory=structlog.ReturnLoggerFactory()
    )
    began = time.perf_counter()
    outcome = run_soak(plan)
    write = sys.stdout.write
    took, worked = time.perf_counter() - began, time.process_time()
    write(f"{plan.days} days, {plan.people} people, seed {plan.seed}: {took:.0f} s, {worked:.0f} s of CPU\n")
    write(f"{outcome.jobs} clips: {dict(outcome.states.most_common())}\n")
    write(f"people: {dict(outcome.user_outcomes.most_common())}\n")
    write(
        f"memory growth per day: {outcome.growth_per_day(outcome.memory_blocks):+.0f} "
        f"of {outcome.memory_blocks[-1]} blocks, "
    )
    write(
        f"{outcome.growth_per_day(outcome.resident_kilobytes):+.0f} of {outcome.resident_kilobytes[-1]} kB; "
    )
    write(f"from morning to evening {statistics.mean(outcome.daily_growth[1:] or [0]):+.0f} blocks\n")
    write(f"trace {outcome.digest} of {outcome.events} events\n")
    write(
        "\n".join(outcome.problems) + "\n"
        if outcome.problems
        else "nothing lost, nothing duplicated, ledger correct\n"
    )
    return 1 if outcome.problems else 0


if __name__ == "__main__":
    sys.exit(main())
