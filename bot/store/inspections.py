"""What was seen in finished clips, and what an admin said to it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from bot.store.job_rows import only

RELEASED = "clear"


def found(c: sqlite3.Connection, job: int) -> str | None:
    """How this clip was found, if somebody looked."""
    row = only(c.execute("SELECT found FROM inspection WHERE job = ?", (job,)).fetchall())
    return row["found"] if row else None


def veiled(c: sqlite3.Connection, jobs: Sequence[int]) -> frozenset[int]:
    sql = "SELECT job FROM inspection WHERE found = 'spoiler' AND job IN (SELECT value FROM json_each(?))"
    return frozenset(row["job"] for row in c.execute(sql, (json.dumps(jobs),)))


def seen(c: sqlite3.Connection, job: int) -> tuple[str, float] | None:
    """What was seen, and how surely."""
    row = only(c.execute("SELECT what, certainty FROM inspection WHERE job = ?", (job,)).fetchall())
    return (row["what"], row["certainty"]) if row else None


def write_down(
    c: sqlite3.Connection, job: int, *, found: str, what: str, certainty: float, now: float
) -> None:
    c.execute(
        "INSERT INTO inspection (job, found, what, certainty, at) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET found = excluded.found, at = excluded.at",
        (job, found, what, certainty, now),
    )


def release(c: sqlite3.Connection, job: int, now: float) -> None:
    """An admin looked and found it fit: nobody looks again."""
    write_down(c, job, found=RELEASED, what="", certainty=0.0, now=now)
