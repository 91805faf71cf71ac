"""Jobs that a terminal beside the running process ended; the running process stops and reports them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable


def add(c: sqlite3.Connection, jobs: Iterable[int]) -> None:
    c.executemany("INSERT OR IGNORE INTO untold (job) VALUES (?)", [(job,) for job in jobs])


def has_pending(c: sqlite3.Connection) -> bool:
    return c.execute("SELECT 1 FROM untold LIMIT 1").fetchone() is not None


def take_all(c: sqlite3.Connection) -> dict[int, bool]:
    """Return and remove all jobs; True if the job's final status is still pending."""
    rows = c.execute("DELETE FROM untold RETURNING job, job IN (SELECT job FROM unsaid) AS owed").fetchall()
    return {row["job"]: bool(row["owed"]) for row in sorted(rows, key=lambda row: row["job"])}
