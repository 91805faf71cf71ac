"""Check a database file that anybody may have written, before anything in it is used.

A SQLite file is also a program: triggers, views, checks and indexes hold SQL that runs when a table is used.
So its schema must be exactly one of ours before any statement touches a table. After that the values are
checked, because the bot trusts the rows of its own database.
"""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path

import msgspec

from bot.domain.errors import DatabaseCorrupt, DatabaseNewer
from bot.store.connection import open_read_only
from bot.store.job_rows import job_from_row
from bot.store.migrate import APPLICATION_ID, Migration, apply_migration, load_migrations
from generation.request import has_possible_values

MAX_NUMBER = 2**53
"""No number or identifier of ours is larger; SQLite's own limit would stop the next insert."""
_LIMITS = {
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_LENGTH: 64_000_000,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 1_000_000,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 4,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}
_PRAGMAS = ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0", "query_only = ON")
_SQLITE_TABLES = {
    ("table", "sqlite_sequence"): "CREATE TABLE sqlite_sequence(name,seq)",
    ("table", "sqlite_stat1"): "CREATE TABLE sqlite_stat1(tbl,idx,stat)",
}
"""Tables that SQLite itself adds."""
_COMMENT_OR_TEXT = re.compile(r"('(?:[^']|'')*'|\"[^\"]*\")|--[^\n]*|/\*.*?\*/", re.DOTALL)
_JSON_COLUMNS = {"person": ("settings",), "fact": ("value",)}
Schema = dict[tuple[str, str], tuple[str, str]]


@contextmanager
def open_untrusted(path: Path) -> Iterator[sqlite3.Connection]:
    """A read-only connection on which the SQL of the file may do as little as SQLite can be told."""
    with open_read_only(path) as c:
        for limit, value in _LIMITS.items():
            c.setlimit(limit, value)
        for pragma in _PRAGMAS:
            c.execute(f"PRAGMA {pragma}")
        yield c


def check_schema(c: sqlite3.Connection, path: Path) -> int:
    """The number of the schema; raises DatabaseCorrupt if it is none of ours, or DatabaseNewer.

    No table is read, so no SQL of the file is run.
    """
    migrations = load_migrations()
    rows = c.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema").fetchall()
    number: int = c.execute("PRAGMA user_version").fetchone()[0]
    application: int = c.execute("PRAGMA application_id").fetchone()[0]
    if not rows:
        raise DatabaseCorrupt(str(path), "there is nothing in it")
    if application != APPLICATION_ID:
        raise DatabaseCorrupt(str(path), "this SQLite file was not written by Matinee")
    if number > migrations[-1].number:
        raise DatabaseNewer(str(path), number, migrations[-1].number)
    found, expected = _schema(rows), schema_of(tuple(m for m in migrations if m.number <= number))
    if len(found) != len(rows):
        raise DatabaseCorrupt(str(path), "something is defined in it twice")
    for key in sorted(found.keys() | expected.keys()):
        given, wanted = found.get(key), expected.get(key)
        if given != wanted and not (wanted is None and given == _sqlite_table(key)):
            raise DatabaseCorrupt(str(path), f"its {key[0]} {key[1][:60]} is not that of Matinee")
    return number


@cache
def schema_of(migrations: Sequence[Migration]) -> Schema:
    """The schema after these migrations, without comments, which later versions may have reworded."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as c:
        for migration in migrations:
            apply_migration(c, migration)
        return _schema(c.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema").fetchall())


def _schema(rows: Iterable[Sequence[object]]) -> Schema:
    """The definitions by kind and name; a text that is no text never equals one of ours."""
    return {(str(kind), str(name)): (str(table), _plain_sql(sql)) for kind, name, table, sql in rows}


def _sqlite_table(key: tuple[str, str]) -> tuple[str, str] | None:
    return (key[1], _plain_sql(_SQLITE_TABLES[key])) if key in _SQLITE_TABLES else None


def _plain_sql(sql: object) -> str:
    """The statement without comments and with single spaces."""
    return " ".join(_COMMENT_OR_TEXT.sub(lambda found: found[1] or " ", str(sql or "")).split())


def check_values(c: sqlite3.Connection, path: Path) -> None:
    """Check that every row of a database of the newest schema can be used; raises DatabaseCorrupt."""
    tables = [row[0] for row in c.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    for table in tables:
        for row in c.execute(f'SELECT * FROM "{table}"'):  # noqa: S608  (names of our own schema)
            try:
                _check_row(table, row)
            except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
                number = row[0] if isinstance(row[0], int) else ""
                reason = f"row {number} of {table} has an impossible value ({type(error).__name__})"
                raise DatabaseCorrupt(str(path), reason) from error


def _check_row(table: str, row: sqlite3.Row) -> None:
    for value in tuple(row):
        if isinstance(value, int | float) and not (math.isfinite(value) and abs(value) <= MAX_NUMBER):
            raise ValueError("too large")
    if table == "sqlite_sequence" and not isinstance(row["seq"], int):
        raise TypeError("no number")
    for column in _JSON_COLUMNS.get(table, ()):
        decoded = msgspec.json.decode(row[column])
        if table == "person" and not isinstance(decoded, dict):
            raise TypeError("settings of another shape")
    if table == "job":
        job = job_from_row(row)
        if job.error is not None and not isinstance(job.error["facts"], dict):
            raise TypeError("an error of another shape")
        if not has_possible_values(job.request):
            raise ValueError("a request with impossible values")
