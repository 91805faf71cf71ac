"""A backup taken at any moment can be restored, and a restore neither loses nor repeats anything."""

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
from bot.domain.jobs import JobState
from bot.domain.quota import Allowance, Caps
from bot.maintenance import backups
from bot.maintenance.integrity_check import check_data_folder
from bot.maintenance.janitor import Janitor
from bot.maintenance.scheduler import BackupSchedule, Scheduler
from bot.store.store import DATABASE_FILE, Store
from tests.bot.app_harness import running_tasks
from tests.bot.store.conftest import CLIP, Clock
from tests.factories import make_draft
from tests.paths import ROOT

pytestmark = pytest.mark.slow

BACKUP_COUNT = 100
LARGE_ALLOWANCE = Allowance(credits=100_000)
NO_CAPS = Caps()


async def enqueue_job(store: Store, user: str = "42") -> int:
    return (await store.enqueue(make_draft(user), allowance=LARGE_ALLOWANCE, caps=NO_CAPS)).job.id


async def render_next_job(store: Store, file: Path) -> int | None:
    """Render the next queued job, if there is one."""
    job = await store.claim(lease=60)
    if job is None:
        return None
    await store.mark_rendered(job.id, job.epoch, structs.replace(CLIP, path=file))
    return job.id


async def deliver_job(store: Store, job: int) -> None:
    await store.begin_delivery(job)
    await store.mark_delivered(job, "m")


async def simulate_user(store: Store, file: Path, user: int, job_ids: list[int]) -> None:
    """A user who submits jobs, with an engine and a chat that are as fast as the disk."""
    rng = random.Random(user)
    while True:
        number = await enqueue_job(store, str(user))
        job_ids.append(number)
        if rng.random() < 0.2:
            with suppress(TooLate):
                await store.cancel(number)
        elif (job := await render_next_job(store, file)) and rng.random() < 0.8:
            await deliver_job(store, job)


async def test_a_hundred_backups_taken_during_writes_can_be_restored(tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "clip.mp4"
    file.write_bytes(b"clip")
    store = await Store.open(data)
    job_ids: list[int] = []
    taken: list[tuple[Path, int]] = []
    async with running_tasks(*(simulate_user(store, file, user, job_ids) for user in range(4))):
        for number in range(BACKUP_COUNT):
            before = len(job_ids)
            await asyncio.sleep(0)
            target = tmp_path / "backups" / f"{number}.db"
            target.parent.mkdir(exist_ok=True)
            taken.append((await asyncio.to_thread(backups.create_backup, data, target), before))
    await store.close()
    for number, (backup, before) in enumerate(taken):
        place = tmp_path / f"restored-{number}"
        done = await asyncio.to_thread(backups.restore, backup, place, resume=bool(number % 2))
        report = await asyncio.to_thread(check_data_folder, place)
        assert report.sound, report.problems
        with closing(sqlite3.connect(place / DATABASE_FILE)) as c:
            known = {row[0] for row in c.execute("SELECT id FROM job")}
            unfinished = c.execute(
                "SELECT count(*) FROM job WHERE state IN ('queued', 'running', 'rendered', 'delivering')"
            ).fetchone()[0]
        assert set(job_ids[:before]) <= known
        assert done.old_database is None
        assert number % 2 or unfinished == 0
    assert len(taken) == BACKUP_COUNT
    assert len({before for _, before in taken}) > BACKUP_COUNT // 2, "jobs were written during the backups"


async def test_restore_cancels_waiting_jobs_and_never_reuses_numbers(tmp_path: Path) -> None:
    store = await Store.open(tmp_path)
    delivered, rendered = await enqueue_job(store), await enqueue_job(store)
    await render_next_job(store, tmp_path / "a.mp4")
    await deliver_job(store, delivered)
    await render_next_job(store, tmp_path / "b.mp4")
    waiting = await enqueue_job(store)
    backup = backups.create_backup(tmp_path, tmp_path / "backups")
    later = await enqueue_job(store)
    with pytest.raises(AlreadyRunning):
        backups.restore(backup, tmp_path)
    await store.close()

    done = backups.restore(backup, tmp_path)
    assert (done.cancelled, done.uncertain) == (1, 1)
    store = await Store.open(tmp_path)
    states = {job: (await store.job(job)).state for job in (delivered, rendered, waiting)}
    assert list(states.values()) == [JobState.DELIVERED, JobState.UNCERTAIN, JobState.CANCELLED]
    assert (await store.balance("discord:42", LARGE_ALLOWANCE)).used == 2
    assert await enqueue_job(store) > later, (
        "a button from after the backup must not name another user's clip"
    )
    await store.close()

    assert done.old_database is not None
    with closing(sqlite3.connect(done.old_database)) as old:
        assert old.execute("SELECT max(id) FROM job").fetchone()[0] == later


async def test_restore_with_resume_keeps_the_queue(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    store = await Store.open(old)
    waiting = await enqueue_job(store)
    await store.close()
    backups.restore(backups.create_backup(old, tmp_path / "moved.db"), new, resume=True)
    store = await Store.open(new)
    assert (await store.job(waiting)).state is JobState.QUEUED
    await store.close()


async def test_restore_refunds_a_job_that_was_being_encoded(tmp_path: Path) -> None:
    data = tmp_path / "data"
    store = await Store.open(data)
    number = await enqueue_job(store)
    job = await store.claim(lease=60)
    assert job is not None
    await store.mark_picture_done(number, job.epoch)
    backup = backups.create_backup(data, tmp_path / "good.db")
    await store.close()
    assert backups.restore(backup, data).cancelled == 1
    store = await Store.open(data)
    cancelled = await store.job(number)
    assert (cancelled.state, cancelled.picture_done) == (JobState.CANCELLED, False)
    assert (await store.balance("discord:42", LARGE_ALLOWANCE)).left == LARGE_ALLOWANCE.credits
    await store.close()


async def test_an_invalid_backup_changes_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    store = await Store.open(data)
    job = await enqueue_job(store)
    backup = backups.create_backup(data, tmp_path / "good.db")
    await store.close()
    before = (data / DATABASE_FILE).read_bytes()
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
    assert (data / DATABASE_FILE).read_bytes() == before
    assert not list(data.glob("*.restored*"))
    store = await Store.open(data)
    assert (await store.job(job)).id == job
    await store.close()


async def test_restore_keeps_an_unreadable_database(tmp_path: Path) -> None:
    store = await Store.open(tmp_path)
    await enqueue_job(store)
    backup = backups.create_backup(tmp_path, tmp_path / "good.db")
    await store.close()
    (tmp_path / DATABASE_FILE).write_bytes(b"rubbish" * 1000)
    (tmp_path / f"{DATABASE_FILE}-wal").write_bytes(b"more rubbish")
    done = backups.restore(backup, tmp_path)
    assert done.old_database is not None
    assert done.old_database.read_bytes() == b"rubbish" * 1000
    assert check_data_folder(tmp_path).sound


async def test_backup_never_overwrites_and_needs_a_database(tmp_path: Path) -> None:
    with pytest.raises(DataFolderUnusable):
        backups.create_backup(tmp_path / "nowhere", tmp_path)
    store = await Store.open(tmp_path)
    first = backups.create_backup(tmp_path, tmp_path / "mine.db")
    with pytest.raises(OutputUnusable):
        backups.create_backup(tmp_path, first)
    with pytest.raises(OutputUnusable):
        backups.create_backup(tmp_path, first / "below" / "a.db")
    now = 1_790_000_000.0
    names = [backups.create_backup(tmp_path, tmp_path / "many", now=now).name for _ in range(3)]
    assert len(set(names)) == 3
    await store.close()


async def test_scheduled_backups_keep_only_the_newest(tmp_path: Path) -> None:
    clock = Clock()
    store = await Store.open(tmp_path, clock=clock)
    folder = tmp_path / "backups"
    plan = BackupSchedule(folder=folder, every=86_400.0, keep=3)
    janitor = Janitor(store=store, data=tmp_path, budget=0, clock=clock)
    scheduler = Scheduler(janitor=janitor, data=tmp_path, backup_schedule=plan, clock=clock)
    folder.mkdir()
    (folder / "mine.db").write_bytes(b"somebody else's")
    for _ in range(24 * 6):
        clock.now += 3600
        await scheduler.run_once()
        for backup in backups.list_backups(folder):
            if backup.stat().st_mtime > clock.now + 3600:  # created just now, by the wall clock
                os.utime(backup, (clock.now, clock.now))
    assert len(backups.list_backups(folder)) == 3
    assert (folder / "mine.db").exists()
    await store.close()


@pytest.mark.timeout(300)  # it starts seven processes
def test_the_commands_report_what_they_did(tmp_path: Path) -> None:
    def matinee(*words: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        return subprocess.run(  # noqa: S603  (a fixed command)
            [sys.executable, "-m", "bot", *words],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip

    assert (matinee("check").returncode, matinee("backup").returncode) == (3, 3)
    asyncio.run(_create_database(tmp_path / "data"))
    created = matinee("backup")
    assert created.returncode == 0
    assert (tmp_path / created.stdout.strip()).is_file()
    assert "No problems found: 1 clips" in matinee("check").stdout
    restored = matinee("restore", created.stdout.strip())
    assert (restored.returncode, "1 waiting" in restored.stdout) == (0, True)
    (tmp_path / "data" / DATABASE_FILE).write_bytes(b"rubbish")
    broken = matinee("check", "--json")
    assert (broken.returncode, "Traceback" in broken.stderr) == (3, False)


async def _create_database(data: Path) -> None:
    store = await Store.open(data)
    await enqueue_job(store)
    await store.close()
