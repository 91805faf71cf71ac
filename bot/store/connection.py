"""SQLite connections, and the fastest way to run a statement on one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

SqlExecutor = sqlite3.Connection | sqlite3.Cursor
"""A cursor is faster: a connection creates one for each statement, at half the cost of a small statement."""


class Connection(sqlite3.Connection):
    """Rows have column names, except those of `tuple_cursor`, which frequent statements use.

    A new cursor costs as much as half a small statement, and a named row as much as one column.
    """

    def __init__(self, *how: Any, **named: Any) -> None:
        super().__init__(*how, **named)
        self.platforms_without_final_status: frozenset[str] = frozenset()
        self.row_factory = sqlite3.Row
        self.tuple_cursor = self.cursor()
        self.tuple_cursor.row_factory = None


def simulated_sqlite_error() -> sqlite3.OperationalError:
    """The error that SQLite raises when the disk fails; for failpoints."""
    return sqlite3.OperationalError("disk I/O error")


def tuple_cursor(c: sqlite3.Connection) -> sqlite3.Cursor:
    assert isinstance(c, Connection), "opened without the factory"
    return c.tuple_cursor


def platforms_without_final_status(c: sqlite3.Connection) -> frozenset[str]:
    assert isinstance(c, Connection), "opened without the factory"
    return c.platforms_without_final_status


@contextmanager
def open_read_only(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that cannot change the database; rows have names."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10.0)) as found:
        found.row_factory = sqlite3.Row
        yield found
