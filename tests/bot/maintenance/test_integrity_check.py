"""`matinee check` finds errors in the ledger, and jobs without files and files without jobs; nothing else."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bot.maintenance import temp_files
from bot.maintenance.integrity_check import MIN_TEMP_FILE_AGE, check_data_folder
from bot.store.store import DATABASE_FILE, Store
from generation.errors import PictureFailed
from tests.bot.maintenance.test_backups import (
    LARGE_ALLOWANCE,
    NO_CAPS,
    deliver_job,
    enqueue_job,
    render_next_job,
)
from tests.bot.store.conftest import hold_running_job
from tests.factories import make_draft


def problems_in(data: Path) -> set[tuple[str, int | None]]:
    return {(one.kind, one.job) for one in check_data_folder(data).problems}


async def jobs_in_every_final_state(data: Path) -> Store:
    """A data folder with a job in every final state, written by the store itself."""
    store = await Store.open(data)
    for number in range(1, 9):
        (data / "clips" / str(number)).mkdir(parents=True)
        (data / "clips" / str(number) / "clip.mp4").write_bytes(b"clip")
    for _ in range(9):
        await store.enqueue(make_draft(cost=2), allowance=LARGE_ALLOWANCE, caps=NO_CAPS)
    for number in (1, 2, 3):
        await render_next_job(store, data / "clips" / str(number) / "clip.mp4")
    await deliver_job(store, 1)
    await store.begin_delivery(2)
    await store.mark_uncertain(2)
    await store.mark_undeliverable(3, PictureFailed("m", "r"))
    failed = await store.claim(lease=60)
    assert failed is not None
    await store.mark_failed(failed.id, failed.epoch, PictureFailed("m", "r"))
    held = await store.claim(lease=60)
    assert held is not None
    await hold_running_job(store, held.id, PictureFailed("m", "r"))
    late = await store.claim(lease=60)
    assert late is not None
    await store.mark_picture_done(late.id, late.epoch)
    await store.cancel(late.id)
    await store.cancel(7)
    return store


async def test_every_final_state_passes_the_check(tmp_path: Path) -> None:
    store = await jobs_in_every_final_state(tmp_path)
    report = check_data_folder(tmp_path)  # while a store is open, too
    assert report.sound
    assert report.jobs == 9
    assert {one.kind for one in report.problems} == {"nobodys"}, "files of jobs that ended without a clip"
    await store.close()


@pytest.mark.parametrize(
    ("harm", "kind"),
    [
        ("UPDATE job SET cost = 3 WHERE id = 1", "sum"),
        ("UPDATE job SET state = 'queued' WHERE id = 1", "sum"),
        ("UPDATE job SET state = 'delivered' WHERE id = 4", "sum"),
        ("UPDATE job SET state = 'failed' WHERE id = 1", "sum"),
        ("UPDATE job SET state = 'cancelled' WHERE id = 9", "sum"),
        ("DELETE FROM job WHERE id = 1", "stray"),
        ("UPDATE job SET account = 77 WHERE id = 1", "reference"),
    ],
)
async def test_ledger_errors_are_found(tmp_path: Path, harm: str, kind: str) -> None:
    await (await jobs_in_every_final_state(tmp_path)).close()
    with closing(sqlite3.connect(tmp_path / DATABASE_FILE)) as c, c:
        c.execute(harm)
    report = check_data_folder(tmp_path)
    assert kind in {one.kind for one in report.problems}
    assert not report.sound


async def test_missing_and_orphaned_files_are_found(tmp_path: Path) -> None:
    store = await Store.open(tmp_path)
    clips = tmp_path / "clips"
    for number in (1, 2):
        (clips / str(number)).mkdir(parents=True)
        (clips / str(number) / "clip.mp4").write_bytes(b"clip")
        await enqueue_job(store)
        await render_next_job(store, clips / str(number) / "clip.mp4")
    await deliver_job(store, 1)
    (clips / "77").mkdir()
    (clips / "77" / "clip.mp4").write_bytes(b"whose?")
    assert problems_in(tmp_path) == {("nobodys", None)}
    (clips / "1" / "clip.mp4").unlink()
    assert check_data_folder(tmp_path).sound, "the clip was delivered"
    (clips / "2" / "clip.mp4").unlink()
    assert problems_in(tmp_path) == {("nobodys", None), ("file_gone", 1), ("no_file", 2)}
    assert not check_data_folder(tmp_path).sound
    await store.close()


async def test_only_temporary_files_are_reported_and_removed(tmp_path: Path) -> None:
    store = await Store.open(tmp_path)
    await enqueue_job(store)
    await store.close()
    names = [
        "clips/1/clip.mp4.part", "clips/1/clip.mp4.part.sound", "clips/1/clip.fit-9.mp4.part.best",
        "clips/1/clip.mp4.signed.part", "clips/1/.fit-abc/log", ".identity-xyz/key.pem", "pulse.json.part",
        "backups/matinee.db.part", "backups/matinee.db.part-journal", "matinee.db.restored", ".writable",
    ]  # fmt: skip
    keep = ["clips/1/clip.mp4", "clips/1/party.png", "identity/key.pem", "backups/mine.db", "apart.txt"]
    for name in (*names, *keep):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"?")
    assert temp_files.find_temp_files(tmp_path, older_than=MIN_TEMP_FILE_AGE) == [], (
        "somebody may be writing them just now"
    )
    for path in tmp_path.rglob("*"):
        os.utime(path, (1e9, 1e9))
    assert {kind for kind, _ in problems_in(tmp_path)} == {"leftover"}
    temp_files.remove_temp_files(tmp_path, older_than=MIN_TEMP_FILE_AGE)
    assert not [name for name in names if (tmp_path / name).exists()]
    assert all((tmp_path / name).exists() for name in (*keep, DATABASE_FILE))
