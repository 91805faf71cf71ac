"""Usage statistics."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    jobs: int
    people: int
    done: int
    failed: int
    cancelled: int
    waiting: int
    gpu_seconds: float
    credits: int


SQL = """
SELECT
    count(*) AS jobs,
    count(DISTINCT account) AS people,
    coalesce(sum(state IN ('rendered', 'delivering', 'delivered', 'uncertain')), 0) AS done,
    coalesce(sum(state = 'failed'), 0) AS failed,
    coalesce(sum(state = 'cancelled'), 0) AS cancelled,
    coalesce(sum(state IN ('queued', 'running')), 0) AS waiting,
    coalesce(sum(CASE WHEN finished_at > started_at THEN finished_at - started_at END), 0.0) AS gpu_seconds
FROM job WHERE created_at >= :since
"""

CREDITS_SPENT = "SELECT coalesce(-sum(credits), 0) AS credits FROM ledger WHERE job IS NOT NULL AND at >= ?"


def stats(c: sqlite3.Connection, since: float) -> Stats:
    row = c.execute(SQL, {"since": since}).fetchone()
    spent: int = c.execute(CREDITS_SPENT, (since,)).fetchone()[0]
    return Stats(**dict(row), credits=spent)
