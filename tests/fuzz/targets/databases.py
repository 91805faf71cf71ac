"""Database files that are restored: changed bytes, changed rows, foreign schemas."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from functools import cache
from pathlib import Path

from bot.domain.errors import StartError, StoreFailed
from bot.domain.quota import Allowance, Caps
from bot.i18n import messages
from bot.maintenance import backups
from bot.maintenance.integrity_check import check_data_folder
from bot.store.store import DATABASE_FILE, Store
from generation.errors import DiskFull
from tests.factories import make_draft
from tests.fuzz.mutation import NUMBERS, TEXTS
from tests.fuzz.target import Call, Target
from tests.fuzz.targets.prompts import explain

TABLES = ("job", "ledger", "person", "fact", "account", "audit", "virtual_time", "upload", "sqlite_sequence")
JSON_COLUMNS = {"request", "requester", "reply_to", "clip", "error", "settings"}
JSON_KEYS = ("prompt", "fps", "frames", "music", "kind", "user", "chat", "facts", "x", "seed")
JSON_NUMBERS = NUMBERS[:9] + NUMBERS[11:17]  # those that SQLite can bind
SCHEMA_CHANGES = (
    "CREATE TRIGGER t AFTER UPDATE ON job BEGIN UPDATE account SET finish = 1; END",
    "CREATE VIEW v AS SELECT 1",
    "CREATE TABLE mine (a, b AS (hex(zeroblob(1000))))",
    "DROP TABLE fact",
    "ALTER TABLE job ADD COLUMN x",
    "PRAGMA user_version = 3",
    "PRAGMA user_version = -1",
    "PRAGMA application_id = 7",
    "DROP INDEX job_by_state",
    "CREATE INDEX i ON job (abs(cost))",
    "PRAGMA encoding = 'UTF-16'",
    "PRAGMA auto_vacuum = FULL",
    "VACUUM",
)


@cache
def database() -> bytes:
    """A small database with jobs in several states."""
    made: list[bytes] = []

    async def make(folder: Path) -> None:
        store = await Store.open(folder)
        allowance, caps = Allowance(credits=100), Caps()
        numbers = [
            (await store.enqueue(make_draft(str(n)), allowance=allowance, caps=caps)).job.id for n in range(3)
        ]
        await store.claim(lease=60)
        await store.cancel(numbers[-1])
        await store.change_setting("discord:1", "genre", "jazz")
        await store.close()
        made.append(backups.create_backup(folder, folder / "backup.db").read_bytes())

    def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(make(Path(folder)))

    thread = threading.Thread(target=run)  # a loop of its own, beside the one that may run here
    thread.start()
    thread.join()
    return made[0]


@asynccontextmanager
async def _bytes(folder: Path) -> AsyncIterator[Call]:
    async def call(data: bytes) -> None:
        path = folder / "foreign.db"
        path.write_bytes(data)
        await _restore(path, folder)

    yield call


@asynccontextmanager
async def _rows(folder: Path) -> AsyncIterator[Call]:
    """The input seeds the changes of rows and schema: SQL of a stranger, which SQLite itself accepts."""
    path = folder / "foreign.db"

    async def call(data: bytes) -> None:
        path.write_bytes(database())
        with closing(sqlite3.connect(path, isolation_level=None)) as c:
            c.execute("PRAGMA ignore_check_constraints = ON")
            for trigger in ("ledger_never_changes", "audit_never_changes"):
                c.execute("PRAGMA writable_schema = ON")
                c.execute("UPDATE sqlite_schema SET tbl_name = tbl_name WHERE name = ?", (trigger,))
            c.execute("PRAGMA writable_schema = OFF")
            _change(c, random.Random(data))
        await _restore(path, folder)

    yield call


def _change(c: sqlite3.Connection, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 1, 2, 4))):
        try:
            if chance.random() < 0.15:
                c.execute(chance.choice(SCHEMA_CHANGES))
            else:
                _change_row(c, chance, chance.choice(TABLES))
        except (sqlite3.Error, OverflowError, UnicodeError):
            continue  # SQLite itself refuses it


def _change_row(c: sqlite3.Connection, chance: random.Random, table: str) -> None:
    columns = [row[1] for row in c.execute(f"PRAGMA table_info({table})")]
    column = chance.choice(columns or ["x"])
    value = chance.choice((*NUMBERS, *TEXTS))
    if column in JSON_COLUMNS and chance.random() < 0.8:
        path, inner = f"$.{chance.choice(JSON_KEYS)}", chance.choice((*JSON_NUMBERS, *TEXTS, "[1]"))
        changed = f"json_set({column}, ?, {'json(?)' if inner == '[1]' else '?'})"
        c.execute(f"UPDATE {table} SET {column} = {changed}", (path, inner))  # noqa: S608  (names from above)
    else:
        c.execute(f"UPDATE {table} SET {column} = ?", (value,))  # noqa: S608  (as above)


async def _restore(path: Path, folder: Path) -> None:
    """Restore the file, then use what it holds."""
    data = folder / "data"
    try:
        await asyncio.to_thread(backups.restore, path, data)
    except (StartError, StoreFailed, DiskFull) as error:
        explain(error, on_terminal=True)
        left = [one.name for one in data.iterdir() if one.name.startswith(f"{DATABASE_FILE}.restored")]
        assert not left, "a refused file stays in the data folder"
        return
    store = await Store.open(data)
    try:
        for job in [*await store.history("discord:1", limit=25), *await store.waiting(limit=25)]:
            messages.job_line(job)
            messages.summary_line(job)
            messages.final_status(job)
        await store.enqueue(
            make_draft("1"), allowance=Allowance(credits=10**6), caps=Caps(person=10**6, all=10**6)
        )
        await store.settings("discord:1")
        await store.export("discord:1")
        await store.claim(lease=60)
    finally:
        await store.close()
    check_data_folder(data)
    shutil.rmtree(data)


TARGETS = (
    Target(
        name="restored database, changed bytes",
        shape="bytes",
        seeds=lambda: [database()],
        open=_bytes,
        covers=(
            "bot.store.untrusted_database:*",
            "bot.store.backup:copy_untrusted",
            "bot.store.backup:_copy_pages",
            "bot.store.backup:restore_backup",
            "bot.store.connection:open_read_only",
        ),
        share=3,
        seconds=20,
    ),
    Target(
        name="restored database, changed rows",
        shape="bytes",
        seeds=lambda: [b"seed"],
        open=_rows,
        covers=("bot.store.untrusted_database:check_values",),
        share=3,
        seconds=20,
    ),
)
