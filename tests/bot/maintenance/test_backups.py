"""A backup taken at any moment can be brought back, and bringing one back loses and doubles nothing."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest
from msgspec import structs

from bot.domain.errors import (
    AlreadyRunning,
    DatabaseCorrupt,
    DatabaseNewer,
    DataFolderUnusable,
    OutputUnusable,
    TooLate,
)
from bot.domain.jobs import State
from bot.domain.quota import Allowance, Caps
from bot.maintenance import backups
from bot.maintenance.integrity_check import look_over
from bot.maintenance.janitor import Janitor
from bot.maintenance.scheduler import BackupPlan, Keeper
from bot.store.store import FILE, Store
from tests.bot.app_harness import running
from tests.bot.store.conftest import CLIP, Clock, a_draft
from tests.paths import ROOT

BACKUPS = 100
PLENTY = Allowance(credits=100_000)
NO_CAPS = Caps()


async def ask(store: Store, user: str = "42") -> int:
    return (await store.enqueue(a_draft(user), allowance=PLENTY, caps=NO_CAPS)).job.id


async def make(store: Store, file: Path) -> int | None:
    """The next one in the line, if there is one."""
    job = await store.claim(lease=60)
    if job is None:
        return None
    await store.rendered(job.id, job.epoch, structs.replace(CLIP, path=file))
    return job.id


async def deliver(store: Store, job: int) -> None:
    await store.begin_delivery(job)
    await store.delivered(job, "m")


async def traffic(store: Store, file: Path, person: int, asked: list[int]) -> None:
    """A person who asks, and an engine and a chat that are as quick as the disk."""
    dice = random.Random(person)
    while True:
        number = await ask(store, str(person))
        asked.append(number)
        if dice.random() < 0.2:
            with suppress(TooLate):
                await store.cancel(number)
        elif (job := await make(store, file)) and dice.random() < 0.8:
            await deliver(store, job)


async def test_a_hundred_backups_under_writes_all_come_back(tmp_path: Path) -> None:
    house, file = tmp_path / "house", tmp_path / "clip.mp4"
    file.write_bytes(b"clip")
    store = await Store.open(house)
    asked: list[int] = []
    taken: list[tuple[Path, int]] = []
    async with running(*(traffic(store, file, person, asked) for person in range(4))):
        for number in range(BACKUPS):
            before = len(asked)
            await asyncio.sleep(0)
            target = tmp_path / "backups" / f"{number}.db"
            target.parent.mkdir(exist_ok=True)
            taken.append((await asyncio.to_thread(backups.take, house, target), before))
    await store.close()
    for number, (backup, before) in enumerate(taken):
        place = tmp_path / f"restored-{number}"
        done = await asyncio.to_thread(backups.restore, backup, place, resume=bool(number % 2))
        report = await asyncio.to_thread(look_over, place)
        assert report.sound, report.found
        with closing(sqlite3.connect(place / FILE)) as c:
            known = {row[0] for row in c.execute("SELECT id FROM job")}
            unfinished = c.execute(
                "SELECT count(*) FROM job WHERE state IN ('queued', 'running', 'rendered', 'delivering')"
            ).fetchone()[0]
        assert set(asked[:before]) <= known
        assert done.aside is None
        assert number % 2 or unfinished == 0
    assert len(taken) == BACKUPS
    assert len({before for _, before in taken}) > BACKUPS // 2, "the house was busy meanwhile"


async def test_what_waited_in_a_backup_is_not_made_twice_and_old_numbers_stay_taken(tmp_path: Path) -> None:
    store = await Store.open(tmp_path)
    delivered, rendered = await ask(store), await ask(store)
    await make(store, tmp_path / "a.mp4")
    await deliver(store, delivered)
    await make(store, tmp_path / "b.mp4")
    waiting = await ask(store)
    backup = backups.take(tmp_path, tmp_path / "backups")
    later = await ask(store)
    with pytest.raises(AlreadyRunning):
        backups.restore(backup, tmp_path)
    await store.close()

    done = backups.restore(backup, tmp_path)
    assert (done.cancelled, done.uncertain) == (1, 1)
    store = await Store.open(tmp_path)
    states = {job: (await store.job(job)).state for job in (delivered, rendered, waiting)}
    assert list(states.values()) == [State.DELIVERED, State.UNCERTAIN, State.CANCELLED]
    assert (await store.balance("discord:42", PLENTY)).used == 2
    assert await ask(store) > later, "a button of the lost time names no stranger's clip"
    await store.close()

    assert done.aside is not None
    with closing(sqlite3.connect(done.aside)) as old:
        assert old.execute("SELECT max(id) FROM job").fetchone()[0] == later


async def test_moved_with_resume_the_line_goes_on(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    store = await Store.open(old)
    waiting = await ask(store)
    await store.close()
    backups.restore(backups.take(old, tmp_path / "moved.db"), new, resume=True)
    store = await Store.open(new)
    assert (await store.job(waiting)).state is State.QUEUED
    await store.close()


async def test_what_is_no_sound_backup_changes_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    store = await Store.open(data)
    job = await ask(store)
    backup = backups.take(data, tmp_path / "good.db")
    await store.close()
    before = (data / FILE).read_bytes()
    whole = backup.read_bytes()
    middle = len(whole) // 2
    bad = {
        "torn": whole[:middle],
        "bitten": whole[:middle] + os.urandom(4096) + whole[middle + 4096 :],
        "empty": b"",
        "text": b"this is no database at all" * 100,
    }
    for name, content in bad.items():
        file = tmp_path / f"{name}.db"
        file.write_bytes(content)
        with pytest.raises(DatabaseCorrupt):
            backups.restore(file, data)
    with closing(sqlite3.connect(backup)) as c:
        c.execute("PRAGMA user_version = 999")
    with pytest.raises(DatabaseNewer):
        backups.restore(backup, data)
    with pytest.raises(OutputUnusable):
        backups.restore(tmp_path / "absent.db", data)
    assert (data / FILE).read_bytes() == before
    assert not list(data.glob("*.restored*"))
    store = await Store.open(data)
    assert (await store.job(job)).id == job
    await store.close()


async def test_a_database_broken_beyond_reading_is_kept_aside_too(tmp_path: Path) -> None:
    store = await Store.open(tmp_path)
    await ask(store)
    backup = backups.take(tmp_path, tmp_path / "good.db")
    await store.close()
    (tmp_path / FILE).write_bytes(b"rubbish" * 1000)
    (tmp_path / f"{FILE}-wal").write_bytes(b"more rubbish")
    done = backups.restore(backup, tmp_path)
    assert done.aside is not None
    assert done.aside.read_bytes() == b"rubbish" * 1000
    assert look_over(tmp_path).sound


async def test_no_backup_replaces_another_and_none_is_made_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataFolderUnusable):
        backups.take(tmp_path / "nowhere", tmp_path)
    store = await Store.open(tmp_path)
    first = backups.take(tmp_path, tmp_path / "mine.db")
    with pytest.raises(OutputUnusable):
        backups.take(tmp_path, first)
    with pytest.raises(OutputUnusable):
        backups.take(tmp_path, first / "below" / "a.db")
    now = 1_790_000_000.0
    names = [backups.take(tmp_path, tmp_path / "many", now=now).name for _ in range(3)]
    assert len(set(names)) == 3
    await store.close()


async def test_backups_come_by_the_clock_and_only_the_newest_are_kept(tmp_path: Path) -> None:
    clock = Clock()
    store = await Store.open(tmp_path, clock=clock)
    folder = tmp_path / "backups"
    plan = BackupPlan(folder=folder, every=86_400.0, keep=3)
    janitor = Janitor(store=store, data=tmp_path, budget=0, clock=clock)
    keeper = Keeper(janitor=janitor, data=tmp_path, plan=plan, clock=clock)
    folder.mkdir()
    (folder / "mine.db").write_bytes(b"somebody else's")
    for _ in range(24 * 6):
        clock.now += 3600
        await keeper.round()
        for made in backups.kept(folder):
            if made.stat().st_mtime > clock.now + 3600:  # made just now, by the wall's clock
                os.utime(made, (clock.now, clock.now))
    assert len(backups.kept(folder)) == 3
    assert (folder / "mine.db").exists()
    await store.close()


@pytest.mark.timeout(300)  # seven programs are started
def test_the_commands_say_what_they_did(tmp_path: Path) -> None:
    def matinee(*words: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        return subprocess.run(  # noqa: S603  (our own command)
            [sys.executable, "-m", "bot", *words],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip

    assert (matinee("check").returncode, matinee("backup").returncode) == (3, 3)
    asyncio.run(_a_house(tmp_path / "data"))
    made = matinee("backup")
    assert made.returncode == 0
    assert (tmp_path / made.stdout.strip()).is_file()
    assert "Sound: 1 clips" in matinee("check").stdout
    restored = matinee("restore", made.stdout.strip())
    assert (restored.returncode, "1 waiting" in restored.stdout) == (0, True)
    (tmp_path / "data" / FILE).write_bytes(b"rubbish")
    broken = matinee("check", "--json")
    assert (broken.returncode, "Traceback" in broken.stderr) == (3, False)


async def _a_house(data: Path) -> None:
    store = await Store.open(data)
    await ask(store)
    await store.close()
