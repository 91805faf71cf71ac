"""Confirmed writes survive crashes, and each error reaches only the caller that caused it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path

import pytest

from bot.domain.errors import AlreadyRunning, DatabaseCorrupt, DatabaseNewer, DataFolderUnusable, StoreFailed
from bot.domain.quota import Allowance
from bot.store import enqueue, integrity, ledger, queue
from bot.store.database import DATABASE_FILE, Database
from bot.store.migrate import Migration, load_migrations, migrate
from bot.store.store import Access, Store
from generation import failpoint
from generation.errors import DiskFull
from tests.bot.store.conftest import read_rows
from tests.factories import make_draft

pytestmark = pytest.mark.slow

NOTE_MIGRATIONS = (Migration(1, "CREATE TABLE note (word TEXT NOT NULL UNIQUE) STRICT;"),)


@asynccontextmanager
async def open_database(
    folder: Path, access: Access = Access.OWNER, migrations: Sequence[Migration] | None = NOTE_MIGRATIONS
) -> AsyncIterator[Database]:
    database = await Database.open(folder, access, migrations)
    try:
        yield database
    finally:
        await database.close()


def add_note(c: sqlite3.Connection, word: str) -> str:
    c.execute("INSERT INTO note VALUES (?)", (word,))
    return word


def all_notes(c: sqlite3.Connection) -> list[str]:
    return [row["word"] for row in c.execute("SELECT word FROM note ORDER BY rowid")]


async def test_each_caller_in_a_batch_gets_its_own_result(tmp_path: Path) -> None:
    async with open_database(tmp_path) as db:
        asked = [f"w{n}" for n in range(100)]
        answers = await asyncio.gather(*(db.write(partial(add_note, word=word)) for word in asked))
        assert list(answers) == asked
        assert await db.read(all_notes) == asked


async def test_one_failure_in_a_batch_rolls_back_only_itself(tmp_path: Path) -> None:
    def twice(c: sqlite3.Connection) -> None:
        add_note(c, "half")
        add_note(c, "first")  # violates the primary key

    async with open_database(tmp_path) as db:
        answers = await asyncio.gather(
            db.write(lambda c: add_note(c, "first")),
            db.write(twice),
            db.write(lambda c: add_note(c, "last")),
            return_exceptions=True,
        )
        assert answers[0] == "first"
        assert isinstance(answers[1], sqlite3.IntegrityError)
        assert await db.read(all_notes) == ["first", "last"]


async def test_the_rollback_callback_runs_before_the_next_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []

    def add_and_log(c: sqlite3.Connection, word: str) -> None:
        events.append(add_note(c, word))
        if word == "bad":
            raise LookupError

    async with open_database(tmp_path) as db:
        db.on_rollback(lambda: events.append("undone"))
        await asyncio.gather(
            *(db.write(partial(add_and_log, word=word)) for word in ("a", "bad", "b")), return_exceptions=True
        )
        assert events == ["a", "bad", "undone", "a", "bad", "undone", "b"]
        with monkeypatch.context() as patch:
            patch.setitem(
                failpoint.ARMED_POINTS, failpoint.FailPoint.COMMIT, failpoint.Armed(failpoint.Effect.FAIL)
            )
            with pytest.raises(StoreFailed):
                await db.write(partial(add_and_log, word="c"))
        assert events[7:] == ["c", "undone"]
        assert await db.read(all_notes) == ["a", "b"]


async def test_cancelled_callers_leave_no_transaction_open(tmp_path: Path) -> None:
    async with open_database(tmp_path) as db:
        for turns in range(40):
            task = db.write(partial(add_note, word=f"left-{turns}"))
            stays = db.write(partial(add_note, word=f"stays-{turns}"))
            for _ in range(turns % 8):
                await asyncio.sleep(0)  # cancel after this many steps of the event loop
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await stays
        assert [w for w in await db.read(all_notes) if w.startswith("stays")] == [
            f"stays-{n}" for n in range(40)
        ]
        with closing(sqlite3.connect(db.path, timeout=0, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # no transaction holds the write lock


async def test_a_caller_cancelled_before_its_batch_writes_nothing(tmp_path: Path) -> None:
    async with open_database(tmp_path) as db:
        db.write(lambda c: add_note(c, "unwanted")).cancel()
        await db.write(lambda c: add_note(c, "wanted"))
        assert await db.read(all_notes) == ["wanted"]


async def test_a_full_disk_fails_the_whole_batch_and_the_writer_continues(tmp_path: Path) -> None:
    async with open_database(tmp_path) as db:
        pages: int = await db.read(lambda c: c.execute("PRAGMA page_count").fetchone()[0])

        def small(c: sqlite3.Connection) -> None:
            c.execute(f"PRAGMA max_page_count = {pages}")

        def large(c: sqlite3.Connection) -> None:
            c.execute("PRAGMA max_page_count = 100000")

        await db.write(small)
        big = "x" * 100_000
        answers = await asyncio.gather(
            *(db.write(partial(add_note, word=f"{big}{n}")) for n in range(3)), return_exceptions=True
        )
        assert [type(answer) for answer in answers] == [DiskFull] * 3
        await db.write(large)
        await db.write(lambda c: add_note(c, "after"))
        assert await db.read(all_notes) == ["after"]


async def test_a_transaction_that_fails_as_a_whole_reaches_every_caller(tmp_path: Path) -> None:
    def dangle(c: sqlite3.Connection) -> None:
        c.execute("INSERT INTO child VALUES ('nobody')")  # the foreign key is checked at the commit

    parent = "TEXT REFERENCES note (word) DEFERRABLE INITIALLY DEFERRED"
    async with open_database(tmp_path) as db:
        await db.write(lambda c: c.execute(f"CREATE TABLE child (note {parent})").rowcount)
        answers = await asyncio.gather(
            db.write(lambda c: add_note(c, "hit")), db.write(dangle), return_exceptions=True
        )
        assert [type(answer) for answer in answers] == [sqlite3.IntegrityError] * 2
        await db.write(lambda c: add_note(c, "after"))
        assert await db.read(all_notes) == ["after"]


async def test_readers_see_only_what_is_committed_and_cannot_write(tmp_path: Path) -> None:
    async with open_database(tmp_path) as db:
        with pytest.raises(StoreFailed):
            await db.read(lambda c: add_note(c, "sneaked in"))
        assert await db.read(all_notes) == []


async def test_close_finishes_pending_writes(tmp_path: Path) -> None:
    async with open_database(tmp_path) as db:
        tasks = [db.write(partial(add_note, word=f"w{n}")) for n in range(5)]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    with pytest.raises(RuntimeError):
        await db.write(lambda c: add_note(c, "late"))
    async with open_database(tmp_path) as db:
        assert len(await db.read(all_notes)) == 5


async def test_two_instances_never_share_a_folder(tmp_path: Path) -> None:
    async with open_database(tmp_path):
        with pytest.raises(AlreadyRunning) as refusal:
            await Database.open(tmp_path, Access.OWNER, NOTE_MIGRATIONS)
        assert refusal.value.pid == os.getpid()
    async with open_database(tmp_path):
        pass


async def test_a_reader_and_a_guest_work_beside_the_owner(tmp_path: Path) -> None:
    async with open_database(tmp_path) as db, open_database(tmp_path, Access.GUEST) as guest:
        await db.write(lambda c: add_note(c, "owner"))
        await guest.write(lambda c: add_note(c, "guest"))
        async with open_database(tmp_path, Access.READER) as reader:
            assert await reader.read(all_notes) == ["owner", "guest"]


async def test_opening_a_missing_database_as_reader_creates_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataFolderUnusable):
        await Database.open(tmp_path, Access.READER)
    assert os.listdir(tmp_path) == []  # noqa: PTH208  (one short call in a test)


@pytest.mark.parametrize(
    "content",
    [b"not a database at all, and longer than a header" * 99, b"SQLite format 3\0" + b"\xff" * 5000],
)
async def test_a_corrupt_file_stops_the_start_and_is_left_alone(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / DATABASE_FILE
    file.write_bytes(content)
    with pytest.raises(DatabaseCorrupt):
        await Database.open(tmp_path)
    assert file.read_bytes() == content


async def test_a_damaged_page_is_detected_at_start(tmp_path: Path) -> None:
    async with open_database(tmp_path) as db:
        for n in range(50):
            await db.write(partial(add_note, word=f"{n}" * 500))
    with (tmp_path / DATABASE_FILE).open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xaa" * 4096)
    with pytest.raises(DatabaseCorrupt):
        await Database.open(tmp_path, Access.OWNER, NOTE_MIGRATIONS)


async def test_a_foreign_database_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / DATABASE_FILE)) as other:
        other.execute("CREATE TABLE theirs (x)")
    with pytest.raises(DatabaseCorrupt):
        await Database.open(tmp_path)


async def test_a_file_from_a_later_version_is_not_touched(tmp_path: Path) -> None:
    later = Migration(2, "CREATE TABLE later (x TEXT) STRICT;")
    await (await Database.open(tmp_path, Access.OWNER, (*NOTE_MIGRATIONS, later))).close()
    with pytest.raises(DatabaseNewer) as refusal:
        await Database.open(tmp_path, Access.OWNER, NOTE_MIGRATIONS)
    assert (refusal.value.found, refusal.value.known) == (2, 1)


async def test_an_older_file_is_backed_up_then_migrated(tmp_path: Path) -> None:
    async with open_database(tmp_path) as db:
        await db.write(lambda c: add_note(c, "kept"))
    later = Migration(2, "ALTER TABLE note ADD COLUMN lang TEXT NOT NULL DEFAULT 'en';")
    db = await Database.open(tmp_path, Access.OWNER, (*NOTE_MIGRATIONS, later))
    assert await db.read(lambda c: [tuple(row) for row in c.execute("SELECT * FROM note")]) == [
        ("kept", "en")
    ]
    await db.close()
    with closing(sqlite3.connect(tmp_path / f"{DATABASE_FILE}.schema-1.backup")) as backup:
        assert backup.execute("SELECT * FROM note").fetchall() == [("kept",)]


async def test_a_failed_migration_leaves_the_file_unchanged(tmp_path: Path) -> None:
    async with open_database(tmp_path) as db:
        await db.write(lambda c: add_note(c, "kept"))
    broken = Migration(2, "CREATE TABLE half (x TEXT) STRICT; CREATE TABLE note (x);")
    with pytest.raises(DataFolderUnusable):
        await Database.open(tmp_path, Access.OWNER, (*NOTE_MIGRATIONS, broken))
    async with open_database(tmp_path) as db:
        assert await db.read(all_notes) == ["kept"]


def test_the_migrations_are_numbered_without_gaps() -> None:
    assert [step.number for step in load_migrations()] == list(range(1, len(load_migrations()) + 1))


async def test_an_unusable_folder_raises(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataFolderUnusable):
        await Database.open(tmp_path / "file" / "data")


WRITE_UNTIL_KILLED = """
import asyncio, sys
from pathlib import Path
from bot.store.store import Store
from bot.domain.quota import Allowance, Caps
from tests.factories import make_draft

async def one(store):
    while True:
        done = await store.enqueue(make_draft(), allowance=Allowance(credits=10**6), caps=Caps())
        print(done.job.id, flush=True)

async def main():
    store = await Store.open(Path(sys.argv[1]))
    await asyncio.gather(*(one(store) for _ in range(8)))

asyncio.run(main())
"""


async def test_killing_the_process_loses_no_confirmed_write(tmp_path: Path) -> None:
    for enough in (1, 20, 50):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            WRITE_UNTIL_KILLED,
            str(tmp_path),
            stdout=asyncio.subprocess.PIPE,
            cwd=Path.cwd(),
        )
        assert process.stdout is not None
        acknowledged = [int(await process.stdout.readline()) for _ in range(enough)]
        process.send_signal(signal.SIGKILL)
        acknowledged += [
            int(line)
            for line in (await process.stdout.read()).splitlines(keepends=True)
            if line.endswith(b"\n")
        ]
        await process.wait()
        store = await Store.open(tmp_path)
        kept = {job.id for job in await store.history(make_draft().requester.key, 10**9)}
        await store.close()
        assert set(acknowledged) <= kept


async def test_migrating_from_schema_3_keeps_jobs_and_credits(tmp_path: Path) -> None:
    before, numbers = load_migrations()[:3], range(1, 40)
    with closing(sqlite3.connect(tmp_path / DATABASE_FILE, isolation_level=None)) as c:
        migrate(c, tmp_path / DATABASE_FILE, before)
        c.execute("INSERT INTO account (finish) VALUES (3)")
        request = '{"kind": "animate", "width": 1000, "height": 500, "frames": 10, "prompt": "a fox"}'
        for number in numbers:
            c.execute(
                "INSERT INTO job (id, state, account, person, community, model, request, requester, reply_to,"
                " cost, weight, tag, turn, created_at)"
                " VALUES (?, 'queued', 1, 'discord:1', '', 'ltx', ?, '{}', '{}', 1, 1, ?, ?, 5)",
                (number, request, number, number),
            )
            c.execute(
                "INSERT INTO ledger (at, counted_at, account, kind, purse, credits, job)"
                " VALUES (5, 5, 1, 'reserve', 'window', -1, ?)",
                (number,),
            )
    async with open_database(tmp_path, migrations=None) as db:
        rows = await db.read(lambda c: c.execute("SELECT id, kind, work FROM job ORDER BY id").fetchall())
        assert [tuple(row) for row in rows] == [(number, "animate", 5.0) for number in numbers]
        spent = await db.read(lambda c: c.execute("SELECT job, credits FROM ledger ORDER BY id").fetchall())
        assert [tuple(row) for row in spent] == [(number, -1) for number in numbers]
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            await db.write(lambda c: c.execute("DELETE FROM ledger").rowcount)


async def test_migrating_from_schema_8_keeps_balances(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / DATABASE_FILE, isolation_level=None)) as c:
        migrate(c, tmp_path / DATABASE_FILE, load_migrations()[:8])
        c.execute("INSERT INTO account DEFAULT VALUES")
        c.execute("INSERT INTO person (key, account, created_at, seen_at) VALUES ('discord:1', 1, 5, 5)")
        c.execute(
            "INSERT INTO job (state, account, person, community, model, request, requester, reply_to,"
            " cost, weight, tag, turn, created_at)"
            " VALUES ('rendered', 1, 'discord:1', '', 'ltx', '{}', '{}', '{}', 7, 1, 1, 1, 5)"
        )
        written = [
            ("grant", "granted", 4, None),
            ("reserve", "window", -5, 1),
            ("reserve", "granted", -2, 1),
            ("settle", "window", 0, 1),  # schema 8 wrote one row per purse
            ("settle", "granted", 0, 1),
        ]
        c.executemany(
            "INSERT INTO ledger (at, counted_at, account, kind, purse, credits, job)"
            " VALUES (5, 5, 1, ?, ?, ?, ?)",
            written,
        )
    store = await Store.open(tmp_path, clock=lambda: 6.0)
    entries = await store.ledger_entries("discord:1")
    balance = await store.balance("discord:1", Allowance(credits=10))
    wrong = await read_rows(store, lambda c: list(integrity.find_inconsistencies(c)))
    await store.close()
    assert [(one.kind, one.purse, one.credits, one.job) for one in reversed(entries)] == written
    assert (balance.used, balance.granted) == (5, 2)
    assert not wrong


SCANNABLE_TABLES = {"virtual_time", "CONSTANT"}  # tables of one row


@pytest.mark.parametrize(
    "sql",
    [
        pytest.param(sql, id=name)
        for name, sql in {
            "join": enqueue.lookup_sql(*enqueue.OPTIONAL_COLUMNS),
            "claim": queue.SELECT_NEXT,
            "claim this": queue.SELECT_ONE,
            "settle": ledger.SETTLE,
            "refund": ledger.REFUND,
            "balance": ledger.BALANCE_SUMS,
            "history of credits": ledger.ACCOUNT_ENTRIES,
            "used": ledger.USED_IN_WINDOW,
        }.items()
    ],
)
async def test_frequent_queries_never_scan_a_whole_table(tmp_path: Path, sql: str) -> None:
    def plan(c: sqlite3.Connection) -> list[str]:
        names = {f":{name}": None for name in re.findall(r":([a-z]+)", sql)}
        numbers = [None] * max(map(int, re.findall(r"\?(\d+)", sql)), default=sql.count("?"))
        values = {name[1:]: None for name in names} if names else numbers
        return [row["detail"] for row in c.execute(f"EXPLAIN QUERY PLAN {sql}", values)]

    async with open_database(tmp_path, migrations=None) as db:
        scanned = {line.split()[1] for line in await db.read(plan) if line.startswith("SCAN")}
    assert scanned <= SCANNABLE_TABLES
