"""Word left for the running studio by a terminal beside it: these people's clips were ended."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable


def leave(c: sqlite3.Connection, jobs: Iterable[int]) -> None:
    c.executemany("INSERT OR IGNORE INTO untold (job) VALUES (?)", [(job,) for job in jobs])


def any_left(c: sqlite3.Connection) -> bool:
    return c.execute("SELECT 1 FROM untold LIMIT 1").fetchone() is not None


def take(c: sqlite3.Connection) -> list[int]:
    return sorted(row["job"] for row in c.execute("DELETE FROM untold RETURNING job").fetchall())
