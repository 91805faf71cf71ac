"""Migrate a database to the newest schema: one numbered SQL file at a time, after a backup."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from bot.domain.errors import DatabaseCorrupt, DatabaseNewer
from generation.media.files import rename_durably

APPLICATION_ID = 0x4D544E45
SMALL_FILE = 64 * 2**20  # a full check of this size takes less than a second


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    sql: str


def load_migrations() -> tuple[Migration, ...]:
    folder = files("bot.store").joinpath("schema")
    scripts = sorted(
        (entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda e: e.name
    )
    return tuple(Migration(int(entry.name.split("_")[0]), entry.read_text("utf-8")) for entry in scripts)


def schema_version(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration]) -> int:
    """The schema number of the database; 0 if it is empty. Raises DatabaseCorrupt or DatabaseNewer."""
    try:
        _check(connection, path)
        found: int = connection.execute("PRAGMA user_version").fetchone()[0]
        application_id: int = connection.execute("PRAGMA application_id").fetchone()[0]
        tables: int = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    except (sqlite3.DatabaseError, UnicodeError) as error:  # sqlite3 cannot decode some of its own messages
        raise DatabaseCorrupt(str(path), str(error)) from error
    if tables and application_id != APPLICATION_ID:
        raise DatabaseCorrupt(str(path), "this SQLite file was not written by Matinee")
    newest = migrations[-1].number
    if found > newest:
        raise DatabaseNewer(str(path), found, newest)
    return found


def migrate(
    connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration], *, keep_copy: bool = True
) -> Path | None:
    """Apply each missing migration in its own transaction; returns the path of the backup, if any."""
    found = schema_version(connection, path, migrations)
    missing = [step for step in migrations if step.number > found]
    saved = _back_up(connection, path, found) if missing and found and keep_copy else None
    for step in missing:
        apply_migration(connection, step)
    return saved


def apply_migration(connection: sqlite3.Connection, migration: Migration) -> None:
    """Apply one migration in its own transaction."""
    try:
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{migration.sql}\n"
            f"PRAGMA application_id = {APPLICATION_ID};\nPRAGMA user_version = {migration.number};\nCOMMIT;"
        )
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _back_up(connection: sqlite3.Connection, path: Path, found: int) -> Path:
    target = path.with_name(f"{path.name}.schema-{found}.backup")
    part = target.with_name(f"{target.name}.part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)  # SQLite would use the umask
    with closing(sqlite3.connect(part)) as copy:
        connection.backup(copy)
    rename_durably(part, target)
    return target


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Check a small file completely; of a large one, only the schema and both ends of every table."""
    if path.stat().st_size <= SMALL_FILE:
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        return
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    for (name,) in tables:
        for order in ("ASC", "DESC"):
            connection.execute(f'SELECT * FROM "{name}" ORDER BY rowid {order} LIMIT 1').fetchall()  # noqa: S608  (the names are read from the schema)
