"""A database of somebody else is refused by one sentence; none of its SQL runs, and nothing changes."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from bot.domain.errors import DatabaseCorrupt, StartError
from bot.domain.quota import Allowance, Caps
from bot.maintenance import backups
from bot.maintenance.integrity_check import check_data_folder
from bot.store.migrate import load_migrations
from bot.store.store import DATABASE_FILE, Store
from bot.store.untrusted_database import schema_of
from generation.errors import DiskFull
from tests.factories import make_draft

MARK = "UPDATE account SET finish = 77"


@pytest.fixture
async def backup(tmp_path: Path) -> Path:
    """A good backup with one waiting job."""
    store = await Store.open(tmp_path / "source")
    await store.enqueue(make_draft(), allowance=Allowance(credits=100), caps=Caps())
    await store.change_setting("discord:42", "genre", "jazz")
    await store.close()
    return backups.create_backup(tmp_path / "source", tmp_path / "backup.db")


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """A data folder with a database of its own."""
    store = await Store.open(tmp_path / "data")
    await store.enqueue(make_draft("7"), allowance=Allowance(credits=100), caps=Caps())
    await store.close()
    return tmp_path / "data"


def sql(*statements: str) -> Callable[[sqlite3.Connection], None]:
    def change(c: sqlite3.Connection) -> None:
        for statement in statements:
            c.execute(statement)

    return change


def replace_definition(old: str, new: str) -> Callable[[sqlite3.Connection], None]:
    """Write another definition of a table, as only an edited file holds."""

    def change(c: sqlite3.Connection) -> None:
        c.execute("PRAGMA writable_schema = ON")
        assert c.execute("UPDATE sqlite_schema SET sql = replace(sql, ?, ?)", (old, new)).rowcount
        c.execute("PRAGMA writable_schema = RESET")

    return change


def without_checks(*statements: str) -> Callable[[sqlite3.Connection], None]:
    """The append-only ledger cannot be changed in a usual way."""
    return sql(
        "DROP TRIGGER ledger_never_changes", "PRAGMA ignore_check_constraints = ON", *statements, LEDGER
    )


LEDGER = """
CREATE TRIGGER ledger_never_changes BEFORE UPDATE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
"""
HOSTILE = {
    "a trigger": sql(f"CREATE TRIGGER mine AFTER UPDATE ON job BEGIN {MARK}; END"),
    "a trigger of our name": sql(
        "DROP TRIGGER audit_never_changes",
        f"CREATE TRIGGER audit_never_changes AFTER UPDATE ON job BEGIN {MARK}; END",
    ),
    "a view": sql("CREATE VIEW mine AS SELECT * FROM job"),
    "a view instead of a table": sql("ALTER TABLE fact RENAME TO f", "CREATE VIEW fact AS SELECT * FROM f"),
    "a table": sql("CREATE TABLE mine (a)"),
    "a table like one of SQLite": sql("CREATE TABLE sqlitemine (a)"),
    "an index over an expression": sql("CREATE INDEX mine ON job (hex(zeroblob(1000)))"),
    "a generated column": sql("ALTER TABLE job ADD COLUMN mine TEXT AS (hex(request))"),
    "a check": replace_definition("'{}'", "'{}' CHECK (length(hex(zeroblob(500000000))) > 0)"),
    "a default": replace_definition("'{}'", "'[]'"),
    "a missing table": sql("DROP TABLE forgotten"),
    "a missing trigger": sql("DROP TRIGGER audit_never_changes"),
    "no definition": replace_definition("CREATE TABLE account", "CREATE TABLE account account"),
    "an older number": sql("PRAGMA user_version = 3"),
    "another program's": sql("PRAGMA application_id = 1"),
    "a request that is no JSON": sql("UPDATE job SET request = '{'"),
    "a request of another shape": sql("UPDATE job SET request = '[]'"),
    "a frame rate of 0": sql("UPDATE job SET request = json_set(request, '$.fps', 0)"),
    "a deep request": sql("UPDATE job SET request = replace(hex(zeroblob(400000)), '0', '[')"),
    "bytes that are no text": sql("UPDATE job SET request = CAST(x'fffefd' AS TEXT)"),
    "an unknown state": sql("UPDATE job SET state = 'frozen'"),
    "a chat that is no JSON": sql("UPDATE job SET reply_to = 'here'"),
    "the last number": sql("UPDATE sqlite_sequence SET seq = 9223372036854775807"),
    "a number that is a text": sql("UPDATE sqlite_sequence SET seq = 'many'"),
    "a giant cost": sql("UPDATE job SET cost = 9223372036854775807"),
    "an infinite weight": sql("UPDATE job SET weight = 9e999"),
    "infinite credits": without_checks("UPDATE ledger SET credits = -9223372036854775808"),
    "settings that are a list": sql("UPDATE person SET settings = '[]'"),
    "a fact that is no JSON": sql("INSERT INTO fact VALUES ('pepper', 'x')"),
    "a job of no account": sql("PRAGMA foreign_keys = OFF", "UPDATE job SET account = 99"),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_database_is_refused(name: str, backup: Path, data: Path) -> None:
    with closing(sqlite3.connect(backup, isolation_level=None)) as c:
        HOSTILE[name](c)
    before = (data / DATABASE_FILE).read_bytes()
    with pytest.raises(DatabaseCorrupt):
        backups.restore(backup, data)
    assert (data / DATABASE_FILE).read_bytes() == before
    assert [path.name for path in data.iterdir() if path.name.startswith(f"{DATABASE_FILE}.")] == []


async def test_no_check_of_a_foreign_file_is_run(backup: Path, data: Path) -> None:
    """Its check would need a gigabyte: the schema is compared before any table is looked at."""
    with closing(sqlite3.connect(backup, isolation_level=None)) as c:
        HOSTILE["a check"](c)
    with pytest.raises(DatabaseCorrupt, match="table person"):
        backups.restore(backup, data)


@pytest.mark.parametrize("page", [512, 65_536])
async def test_pages_of_every_size_are_accepted(page: int, backup: Path, data: Path) -> None:
    with closing(sqlite3.connect(backup, isolation_level=None)) as c:
        c.execute(f"PRAGMA page_size = {page}")
        c.execute("VACUUM")
        c.execute("ANALYZE")
    assert backups.restore(backup, data).cancelled == 1


async def test_a_backup_larger_than_the_disk_is_refused_before_it_is_copied(backup: Path, data: Path) -> None:
    with backup.open("r+b") as file:
        file.truncate(shutil.disk_usage(data).free + 2**30)  # takes no room: the file is sparse
    with pytest.raises(DiskFull):
        backups.restore(backup, data)
    backup.unlink()


async def test_a_file_of_another_kind_is_refused(tmp_path: Path, data: Path) -> None:
    for number, content in enumerate((b"", b"SQLite format 3\0", b"SQLite format 3\0" + bytes(10_000))):
        path = tmp_path / f"{number}.db"
        path.write_bytes(content)
        with pytest.raises(StartError):
            backups.restore(path, data)


async def test_a_schema_of_bytes_that_are_no_text_is_refused(backup: Path, data: Path) -> None:
    """SQLite quotes them in a message that Python's module cannot decode."""
    content = backup.read_bytes()
    for old, new in ((b"tablepersonperson", b"table\x80ersonperson"), (b"TABLE person (", b"TABLE person )")):
        assert old in content
        content = content.replace(old, new)
    backup.write_bytes(content)
    with pytest.raises(DatabaseCorrupt):
        backups.restore(backup, data)
    shutil.copy(backup, data / DATABASE_FILE)
    with pytest.raises(DatabaseCorrupt):
        await Store.open(data)
    with pytest.raises(DatabaseCorrupt):
        check_data_folder(data)


def test_comments_and_spaces_of_a_definition_do_not_matter() -> None:
    """Later versions reword comments, and a database keeps the definition of the version that made it."""
    migrations = load_migrations()
    reworded = tuple(
        type(step)(step.number, step.sql.replace("    ", '  -- it\'s "other" words\n  '))
        for step in migrations
    )
    assert reworded[0].sql != migrations[0].sql
    assert schema_of(reworded) == schema_of(migrations)
