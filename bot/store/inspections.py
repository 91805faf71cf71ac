"""The results of clip inspections."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from bot.store.job_rows import first_or_none

RELEASED_VERDICT = "clear"


def verdict_of(c: sqlite3.Connection, job: int) -> str | None:
    """The saved verdict on the clip; None if it was not inspected."""
    row = first_or_none(c.execute("SELECT found FROM inspection WHERE job = ?", (job,)).fetchall())
    return row["found"] if row else None


def spoilered(c: sqlite3.Connection, jobs: Sequence[int]) -> frozenset[int]:
    sql = "SELECT job FROM inspection WHERE found = 'spoiler' AND job IN (SELECT value FROM json_each(?))"
    return frozenset(row["job"] for row in c.execute(sql, (json.dumps(jobs),)))


def detection(c: sqlite3.Connection, job: int) -> tuple[str, float] | None:
    """What was detected in the clip, and how certain the detection is."""
    row = first_or_none(c.execute("SELECT what, certainty FROM inspection WHERE job = ?", (job,)).fetchall())
    return (row["what"], row["certainty"]) if row else None


def save_inspection(
    c: sqlite3.Connection, job: int, *, verdict: str, label: str, certainty: float, now: float
) -> None:
    c.execute(
        "INSERT INTO inspection (job, found, what, certainty, at) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET found = excluded.found, at = excluded.at",
        (job, verdict, label, certainty, now),
    )


def mark_released(c: sqlite3.Connection, job: int, now: float) -> None:
    """Save that an admin released the clip, so that it is not inspected again."""
    save_inspection(c, job, verdict=RELEASED_VERDICT, label="", certainty=0.0, now=now)
