"""What is acknowledged is safe, and what goes wrong is told to whom it concerns."""

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
from bot.store import enqueue, integrity, ledger, queue, spending
from bot.store.database import FILE, Database
from bot.store.migrate import Step, migrate, steps
from bot.store.store import Access, Store
from generation import failpoint
from generation.errors import DiskFull
from tests.bot.store.conftest import a_draft

PLAIN = (Step(1, "CREATE TABLE note (word TEXT NOT NULL UNIQUE) STRICT;"),)


@asynccontextmanager
async def opened(
    folder: Path, access: Access = Access.OWNER, known: Sequence[Step] | None = PLAIN
) -> AsyncIterator[Database]:
    database = await Database.open(folder, access, known)
    try:
        yield database
    finally:
        await database.close()


def add(c: sqlite3.Connection, word: str) -> str:
    c.execute("INSERT INTO note VALUES (?)", (word,))
    return word


def words(c: sqlite3.Connection) -> list[str]:
    return [row["word"] for row in c.execute("SELECT word FROM note ORDER BY rowid")]


async def test_everyone_in_a_group_gets_their_own_answer(tmp_path: Path) -> None:
    async with opened(tmp_path) as db:
        asked = [f"w{n}" for n in range(100)]
        answers = await asyncio.gather(*(db.write(partial(add, word=word)) for word in asked))
        assert list(answers) == asked
        assert await db.read(words) == asked


async def test_one_failure_in_a_group_undoes_only_itself(tmp_path: Path) -> None:
    def twice(c: sqlite3.Connection) -> None:
        add(c, "half")
        add(c, "first")  # is there already

    async with opened(tmp_path) as db:
        answers = await asyncio.gather(
            db.write(lambda c: add(c, "first")),
            db.write(twice),
            db.write(lambda c: add(c, "last")),
            return_exceptions=True,
        )
        assert answers[0] == "first"
        assert isinstance(answers[1], sqlite3.IntegrityError)
        assert await db.read(words) == ["first", "last"]


async def test_whatever_is_undone_is_told_before_the_next_work_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def say(c: sqlite3.Connection, word: str) -> None:
        said.append(add(c, word))
        if word == "bad":
            raise LookupError

    async with opened(tmp_path) as db:
        db.when_undone(lambda: said.append("undone"))
        await asyncio.gather(
            *(db.write(partial(say, word=word)) for word in ("a", "bad", "b")), return_exceptions=True
        )
        assert said == ["a", "bad", "undone", "a", "bad", "undone", "b"]
        with monkeypatch.context() as ill:
            ill.setitem(failpoint.ARMED, failpoint.Place.COMMIT, failpoint.Trap(failpoint.Deed.FAIL))
            with pytest.raises(StoreFailed):
                await db.write(partial(say, word="c"))
        assert said[7:] == ["c", "undone"]
        assert await db.read(words) == ["a", "b"]


async def test_callers_that_leave_at_any_moment_leave_no_transaction_open(tmp_path: Path) -> None:
    async with opened(tmp_path) as db:
        for turns in range(40):
            task = db.write(partial(add, word=f"left-{turns}"))
            stays = db.write(partial(add, word=f"stays-{turns}"))
            for _ in range(turns % 8):
                await asyncio.sleep(0)  # so many steps of the loop later
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await stays
        assert [w for w in await db.read(words) if w.startswith("stays")] == [f"stays-{n}" for n in range(40)]
        with closing(sqlite3.connect(db.path, timeout=0, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # nobody holds the write lock


async def test_a_caller_that_left_before_its_turn_writes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as db:
        db.write(lambda c: add(c, "unwanted")).cancel()
        await db.write(lambda c: add(c, "wanted"))
        assert await db.read(words) == ["wanted"]


async def test_a_full_disk_is_told_to_everyone_it_hit_and_the_writer_lives_on(tmp_path: Path) -> None:
    async with opened(tmp_path) as db:
        pages: int = await db.read(lambda c: c.execute("PRAGMA page_count").fetchone()[0])

        def small(c: sqlite3.Connection) -> None:
            c.execute(f"PRAGMA max_page_count = {pages}")

        def large(c: sqlite3.Connection) -> None:
            c.execute("PRAGMA max_page_count = 100000")

        await db.write(small)
        big = "x" * 100_000
        answers = await asyncio.gather(
            *(db.write(partial(add, word=f"{big}{n}")) for n in range(3)), return_exceptions=True
        )
        assert [type(answer) for answer in answers] == [DiskFull] * 3
        await db.write(large)
        await db.write(lambda c: add(c, "after"))
        assert await db.read(words) == ["after"]


async def test_a_transaction_that_fails_as_a_whole_reaches_every_caller(tmp_path: Path) -> None:
    def dangle(c: sqlite3.Connection) -> None:
        c.execute("INSERT INTO child VALUES ('nobody')")  # allowed until the commit

    parent = "TEXT REFERENCES note (word) DEFERRABLE INITIALLY DEFERRED"
    async with opened(tmp_path) as db:
        await db.write(lambda c: c.execute(f"CREATE TABLE child (note {parent})").rowcount)
        answers = await asyncio.gather(
            db.write(lambda c: add(c, "hit")), db.write(dangle), return_exceptions=True
        )
        assert [type(answer) for answer in answers] == [sqlite3.IntegrityError] * 2
        await db.write(lambda c: add(c, "after"))
        assert await db.read(words) == ["after"]


async def test_readers_see_only_what_is_committed_and_cannot_write(tmp_path: Path) -> None:
    async with opened(tmp_path) as db:
        with pytest.raises(StoreFailed):
            await db.read(lambda c: add(c, "sneaked in"))
        assert await db.read(words) == []


async def test_after_close_what_was_asked_for_is_there(tmp_path: Path) -> None:
    async with opened(tmp_path) as db:
        tasks = [db.write(partial(add, word=f"w{n}")) for n in range(5)]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    with pytest.raises(RuntimeError):
        await db.write(lambda c: add(c, "late"))
    async with opened(tmp_path) as db:
        assert len(await db.read(words)) == 5


async def test_two_instances_never_share_a_folder(tmp_path: Path) -> None:
    async with opened(tmp_path):
        with pytest.raises(AlreadyRunning) as refusal:
            await Database.open(tmp_path, Access.OWNER, PLAIN)
        assert refusal.value.pid == os.getpid()
    async with opened(tmp_path):
        pass


async def test_beside_a_running_instance_one_may_look_and_one_may_act(tmp_path: Path) -> None:
    async with opened(tmp_path) as db, opened(tmp_path, Access.GUEST) as guest:
        await db.write(lambda c: add(c, "owner"))
        await guest.write(lambda c: add(c, "guest"))
        async with opened(tmp_path, Access.READER) as reader:
            assert await reader.read(words) == ["owner", "guest"]


async def test_looking_where_nothing_is_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataFolderUnusable):
        await Database.open(tmp_path, Access.READER)
    assert os.listdir(tmp_path) == []  # noqa: PTH208  (a plain look, in an async test)


@pytest.mark.parametrize(
    "content",
    [b"not a database at all, and longer than a header" * 99, b"SQLite format 3\0" + b"\xff" * 5000],
)
async def test_a_corrupt_file_stops_the_start_and_is_left_alone(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / FILE
    file.write_bytes(content)
    with pytest.raises(DatabaseCorrupt):
        await Database.open(tmp_path)
    assert file.read_bytes() == content


async def test_a_damaged_page_is_noticed_at_the_start(tmp_path: Path) -> None:
    async with opened(tmp_path) as db:
        for n in range(50):
            await db.write(partial(add, word=f"{n}" * 500))
    with (tmp_path / FILE).open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xaa" * 4096)
    with pytest.raises(DatabaseCorrupt):
        await Database.open(tmp_path, Access.OWNER, PLAIN)


async def test_somebody_elses_database_is_not_taken_over(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE)) as other:
        other.execute("CREATE TABLE theirs (x)")
    with pytest.raises(DatabaseCorrupt):
        await Database.open(tmp_path)


async def test_a_file_from_a_later_version_is_not_touched(tmp_path: Path) -> None:
    later = Step(2, "CREATE TABLE later (x TEXT) STRICT;")
    await (await Database.open(tmp_path, Access.OWNER, (*PLAIN, later))).close()
    with pytest.raises(DatabaseNewer) as refusal:
        await Database.open(tmp_path, Access.OWNER, PLAIN)
    assert (refusal.value.found, refusal.value.known) == (2, 1)


async def test_an_older_file_is_backed_up_then_brought_forward(tmp_path: Path) -> None:
    async with opened(tmp_path) as db:
        await db.write(lambda c: add(c, "kept"))
    later = Step(2, "ALTER TABLE note ADD COLUMN lang TEXT NOT NULL DEFAULT 'en';")
    db = await Database.open(tmp_path, Access.OWNER, (*PLAIN, later))
    assert await db.read(lambda c: [tuple(row) for row in c.execute("SELECT * FROM note")]) == [
        ("kept", "en")
    ]
    await db.close()
    with closing(sqlite3.connect(tmp_path / f"{FILE}.schema-1.backup")) as backup:
        assert backup.execute("SELECT * FROM note").fetchall() == [("kept",)]


async def test_a_step_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    async with opened(tmp_path) as db:
        await db.write(lambda c: add(c, "kept"))
    broken = Step(2, "CREATE TABLE half (x TEXT) STRICT; CREATE TABLE note (x);")
    with pytest.raises(DataFolderUnusable):
        await Database.open(tmp_path, Access.OWNER, (*PLAIN, broken))
    async with opened(tmp_path) as db:
        assert await db.read(words) == ["kept"]


def test_the_shipped_steps_are_numbered_without_gaps() -> None:
    assert [step.number for step in steps()] == list(range(1, len(steps()) + 1))


async def test_a_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataFolderUnusable):
        await Database.open(tmp_path / "file" / "data")


WRITE_UNTIL_KILLED = """
import asyncio, sys
from pathlib import Path
from bot.store import Store
from bot.domain.quota import Allowance, Caps
from tests.bot.store.conftest import a_draft

async def one(store):
    while True:
        done = await store.enqueue(a_draft(), allowance=Allowance(credits=10**6), caps=Caps())
        print(done.job.id, flush=True)

async def main():
    store = await Store.open(Path(sys.argv[1]))
    await asyncio.gather(*(one(store) for _ in range(8)))

asyncio.run(main())
"""


async def test_killing_the_process_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
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
        heard = [int(await process.stdout.readline()) for _ in range(enough)]
        process.send_signal(signal.SIGKILL)
        heard += [
            int(line)
            for line in (await process.stdout.read()).splitlines(keepends=True)
            if line.endswith(b"\n")
        ]
        await process.wait()
        store = await Store.open(tmp_path)
        kept = {job.id for job in await store.history(a_draft().requester.key, 10**9)}
        await store.close()
        assert set(heard) <= kept


async def test_a_house_from_before_the_quick_queue_keeps_its_jobs_and_every_credit(tmp_path: Path) -> None:
    before, numbers = steps()[:3], range(1, 40)
    with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as c:
        migrate(c, tmp_path / FILE, before)
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
    async with opened(tmp_path, known=None) as db:
        rows = await db.read(lambda c: c.execute("SELECT id, kind, work FROM job ORDER BY id").fetchall())
        assert [tuple(row) for row in rows] == [(number, "animate", 5.0) for number in numbers]
        spent = await db.read(lambda c: c.execute("SELECT job, credits FROM ledger ORDER BY id").fetchall())
        assert [tuple(row) for row in spent] == [(number, -1) for number in numbers]
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            await db.write(lambda c: c.execute("DELETE FROM ledger").rowcount)


async def test_books_from_before_the_quick_sums_say_the_same_afterwards(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as c:
        migrate(c, tmp_path / FILE, steps()[:8])
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
            ("settle", "window", 0, 1),  # a row for every purse, as it was then
            ("settle", "granted", 0, 1),
        ]
        c.executemany(
            "INSERT INTO ledger (at, counted_at, account, kind, purse, credits, job)"
            " VALUES (5, 5, 1, ?, ?, ?, ?)",
            written,
        )
    store = await Store.open(tmp_path, clock=lambda: 6.0)
    entries = await store.entries("discord:1")
    balance = await store.balance("discord:1", Allowance(credits=10))
    wrong = await store.look(lambda c, _: list(integrity.wrongs(c)))
    await store.close()
    assert [(one.kind, one.purse, one.credits, one.job) for one in reversed(entries)] == written
    assert (balance.used, balance.granted) == (5, 2)
    assert not wrong


SEEN_WHOLE = {"virtual_time", "CONSTANT"}  # of one row


@pytest.mark.parametrize(
    "sql",
    [
        pytest.param(sql, id=name)
        for name, sql in {
            "join": enqueue.look_sql(*enqueue.MORE),
            "claim": queue.HEAD,
            "claim this": queue.THIS,
            "settle": ledger.SETTLE,
            "refund": ledger.REFUND,
            "balance": ledger.SUMS,
            "history of credits": ledger.ENTRIES,
            "used": spending.SPENT,
        }.items()
    ],
)
async def test_what_runs_often_never_reads_a_whole_table(tmp_path: Path, sql: str) -> None:
    def plan(c: sqlite3.Connection) -> list[str]:
        names = {f":{name}": None for name in re.findall(r":([a-z]+)", sql)}
        numbers = [None] * max(map(int, re.findall(r"\?(\d+)", sql)), default=sql.count("?"))
        values = {name[1:]: None for name in names} if names else numbers
        return [row["detail"] for row in c.execute(f"EXPLAIN QUERY PLAN {sql}", values)]

    async with opened(tmp_path, known=None) as db:
        scanned = {line.split()[1] for line in await db.read(plan) if line.startswith("SCAN")}
    assert scanned <= SEEN_WHOLE
