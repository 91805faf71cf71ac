"""A restored backup does not bring back what users deleted, and old copies of the database are removed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from bot.domain.errors import DataFolderUnusable
from bot.domain.jobs import JobState
from bot.domain.quota import Allowance, Caps
from bot.maintenance import backups
from bot.maintenance.janitor import Janitor
from bot.maintenance.scheduler import BackupSchedule, Scheduler
from bot.store.database import Access, Database
from bot.store.deletion_list import FILE_NAME
from bot.store.migrate import Migration, load_migrations
from bot.store.store import DATABASE_FILE, Store
from tests.bot.store.conftest import NOON, Clock
from tests.factories import make_draft

DAY = 86_400.0
ALLOWANCE = Allowance(credits=100)
GONE, STAYS = "471108154711081547", "880088008800880088"


async def enqueue_and_cancel(store: Store, user: str) -> int:
    done = await store.enqueue(make_draft(user), allowance=ALLOWANCE, caps=Caps())
    await store.cancel(done.job.id)
    await store.mark_final_status_shown(done.job.id)
    return done.job.id


async def test_a_backup_restored_after_a_deletion_does_not_bring_the_user_back(tmp_path: Path) -> None:
    clock, data = Clock(), tmp_path / "data"
    store = await Store.open(data, clock=clock)
    finished, kept = await enqueue_and_cancel(store, GONE), await enqueue_and_cancel(store, STAYS)
    waiting = (await store.enqueue(make_draft(GONE), allowance=ALLOWANCE, caps=Caps())).job.id
    await store.record_refusal(person=f"discord:{GONE}", rule="words", words="what they typed")
    backup = backups.create_backup(data, tmp_path / "kept.db")
    clock.now += DAY
    await store.delete_personal_data(f"discord:{GONE}")
    clock.now += DAY
    await store.close()
    listed = (data / FILE_NAME).read_text()
    assert GONE not in listed, "the list itself names nobody"
    assert "discord" not in listed

    done = backups.restore(backup, data, now=clock.now)
    assert (done.deleted_again, done.cancelled) == (1, 1)
    store = await Store.open(data, clock=clock)
    await store.mark_final_status_shown(waiting)
    await store.blank_ended_jobs()
    assert [(await store.job(job)).request.prompt for job in (finished, waiting)] == ["", ""]
    assert (await store.job(kept)).request.prompt == "a fox in the snow"
    assert (await store.job(waiting)).state is JobState.CANCELLED
    await store.close()
    stored = (data / DATABASE_FILE).read_bytes()
    assert GONE.encode() not in stored
    assert b"what they typed" not in stored
    assert STAYS.encode() in stored


async def test_a_user_who_returned_before_the_backup_is_kept(tmp_path: Path) -> None:
    clock = Clock()
    store = await Store.open(tmp_path, clock=clock)
    first = await enqueue_and_cancel(store, GONE)
    clock.now += 1
    await store.delete_personal_data(f"discord:{GONE}")
    clock.now += 1
    later = await enqueue_and_cancel(store, GONE)
    await store.change_setting(f"discord:{GONE}", "genre", "jazz")
    backup = backups.create_backup(tmp_path, tmp_path / "kept.db")
    await store.close()
    backups.restore(backup, tmp_path, now=clock.now)
    store = await Store.open(tmp_path, clock=clock)
    assert [(await store.job(job)).request.prompt for job in (first, later)] == ["", "a fox in the snow"]
    assert await store.settings(f"discord:{GONE}") == {"genre": "jazz"}
    await store.close()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"pepper": 1, "deleted": []}'])
async def test_a_damaged_list_stops_the_restore_before_anything_changed(tmp_path: Path, content: str) -> None:
    store = await Store.open(tmp_path)
    await enqueue_and_cancel(store, GONE)
    backup = backups.create_backup(tmp_path, tmp_path / "kept.db")
    await store.close()
    before = (tmp_path / DATABASE_FILE).read_bytes()
    (tmp_path / FILE_NAME).write_text(content)
    with pytest.raises(DataFolderUnusable, match="damaged"):
        backups.restore(backup, tmp_path)
    assert (tmp_path / DATABASE_FILE).read_bytes() == before


async def test_the_list_forgets_deletions_that_are_older_than_a_year(tmp_path: Path) -> None:
    clock = Clock()
    store = await Store.open(tmp_path, clock=clock)
    for user in (GONE, STAYS):
        await store.delete_personal_data(f"discord:{user}")
        clock.now += 367 * DAY
    await store.close()
    facts = json.loads((tmp_path / FILE_NAME).read_text())
    assert list(facts["deleted"].values()) == [NOON + 367 * DAY]


@pytest.mark.parametrize(("keep_days", "longest"), [(0, 30), (7, 7), (90, 30)])
async def test_copies_from_before_a_migration_or_restore_are_removed_after_retention(
    tmp_path: Path, keep_days: int, longest: int
) -> None:
    clock = Clock()
    store = await Store.open(tmp_path, clock=clock)
    copies = ("schema-6.backup", "before-20260101T000000Z", "before-20260101T000000Z-wal")
    for age, folder in ((longest - 1, "young"), (longest + 1, "old")):
        for name in copies:
            path = tmp_path / f"{DATABASE_FILE}.{name.replace('01T', '02T') if folder == 'old' else name}"
            path = path.with_name(path.name.replace("schema-6", "schema-5")) if folder == "old" else path
            path.write_bytes(folder.encode())
            os.utime(path, (clock.now - age * DAY,) * 2)
    mine = tmp_path / f"{DATABASE_FILE}.mine"
    mine.write_bytes(b"somebody's own copy")
    os.utime(mine, (0, 0))
    schedule = BackupSchedule(folder=tmp_path / "backups", every=0, keep=0)
    janitor = Janitor(store=store, data=tmp_path, budget=0, clock=clock)
    scheduler = Scheduler(
        janitor=janitor, data=tmp_path, backup_schedule=schedule, keep_days=keep_days, clock=clock
    )
    await scheduler.run_once()
    left = {path.name.removeprefix(f"{DATABASE_FILE}.") for path in tmp_path.glob(f"{DATABASE_FILE}.*")}
    assert left == {*copies, "mine"}
    await store.close()


async def test_backups_and_copies_are_private_wherever_they_are(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        data = tmp_path / "data"
        store = await Store.open(data)
        backup = backups.create_backup(data, tmp_path / "kept.db")
        await store.close()
        number = load_migrations()[-1].number + 1
        later = Migration(number, "CREATE TABLE later (x TEXT) STRICT;")
        await (await Database.open(data, Access.OWNER, (*load_migrations(), later))).close()
        backups.restore(backup, data)
    finally:
        os.umask(before)
    found = [data, backup, *data.rglob("*")]
    assert any(path.name.endswith(f"schema-{number - 1}.backup") for path in found)
    assert {
        path.name: oct(path.stat().st_mode & 0o077) for path in found if path.stat().st_mode & 0o077
    } == {}
