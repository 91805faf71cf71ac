"""Users who flood the queue delay their own jobs, hardly those of others."""

from __future__ import annotations

import heapq
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bot.domain.errors import QueueFull, QuotaSpent
from bot.domain.quota import Allowance, Caps
from bot.store import enqueue, queue
from bot.store.connection import Connection
from bot.store.enqueue_cache import EnqueueCache
from bot.store.migrate import load_migrations, migrate
from tests.bot.store.conftest import CLIP
from tests.factories import make_draft

CLIP_SECONDS = 60.0
ENGINES = 1
DAY = 86_400.0
LOAD = 0.6  # on a quiet day the engines are busy three fifths of the time
CAPS = Caps(person=5, all=500)
TEN_A_DAY = Allowance(credits=10)


def quiet_arrivals() -> list[tuple[float, str]]:
    """Users who submit a job now and then, the same every day."""
    rng = random.Random(11)
    now, arrivals = 0.0, []
    while (now := now + rng.expovariate(LOAD * ENGINES / CLIP_SECONDS)) < DAY:
        arrivals.append((now, f"quiet{rng.randrange(300)}"))
    return arrivals


def flood_arrivals(*, users: int, submits: int) -> list[tuple[float, str]]:
    return [(DAY * n / submits, f"flood{user}") for n in range(submits) for user in range(users)]


def mean_quiet_wait(c: sqlite3.Connection, arrivals: list[tuple[float, str]]) -> float:
    """Serve a day on a virtual clock; returns the mean wait of the quiet users for a clip."""
    busy_until: list[float] = []  # when each busy engine is free again
    waits, cache = [], EnqueueCache()
    for now, user in arrivals:
        waits += _serve(c, busy_until, until=now)
        c.execute("SAVEPOINT one")
        try:
            enqueue.enqueue(
                c, make_draft(user), allowance=TEN_A_DAY, pool=None, caps=CAPS, enqueue_cache=cache, now=now
            )
        except (QueueFull, QuotaSpent):
            assert user.startswith("flood")
            c.execute("ROLLBACK TO one")
        c.execute("RELEASE one")
    waits += _serve(c, busy_until, until=float("inf"))
    quiet_waits = [wait for user, wait in waits if user.startswith("quiet")]
    assert len(quiet_waits) == sum(user.startswith("quiet") for _, user in arrivals)
    return sum(quiet_waits) / len(quiet_waits)


def _serve(c: sqlite3.Connection, busy_until: list[float], *, until: float) -> list[tuple[str, float]]:
    served: list[tuple[str, float]] = []
    while True:
        free_at = busy_until[0] if len(busy_until) == ENGINES else 0.0
        if free_at > until:
            return served
        head = c.execute("SELECT min(created_at) AS created_at FROM job WHERE state = 'queued'").fetchone()
        if head["created_at"] is None:
            return served
        if len(busy_until) == ENGINES:
            heapq.heappop(busy_until)
        start = max(free_at, head["created_at"])
        job = queue.claim(c, until=0, now=start)
        assert job is not None
        heapq.heappush(busy_until, start + CLIP_SECONDS)
        queue.mark_rendered(c, job.id, job.epoch, CLIP, now=start + CLIP_SECONDS)
        served.append((job.requester.user, start + CLIP_SECONDS - job.created_at))


@pytest.fixture
def c(tmp_path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, factory=Connection)
    (tmp_path / "empty").touch()
    migrate(connection, tmp_path / "empty", load_migrations())
    return connection


def test_ten_users_flooding_the_queue_barely_delay_the_others(c: sqlite3.Connection) -> None:
    with closing(c):
        quiet = quiet_arrivals()
        quiet_day = mean_quiet_wait(c, quiet)
        flooded = sorted([*quiet, *flood_arrivals(users=10, submits=1000)])
        flood_day = mean_quiet_wait(c, [(DAY + now, user) for now, user in flooded])
    assert quiet_day < flood_day <= 1.2 * quiet_day
