"""Create, list, remove and restore backups of the database."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from pathlib import Path

from bot.domain.errors import DataFolderUnusable, OutputUnusable
from bot.store.backup import Restored, copy_database, restore_backup
from bot.store.instance_lock import InstanceLock
from bot.store.store import DATABASE_FILE

BACKUP_FOLDER = "backups"
SAFETY_COPY_NAME = re.compile(
    rf"{re.escape(DATABASE_FILE)}\.(before-\d{{8}}T\d{{6}}Z(-wal|-shm|-journal)?|schema-\d+\.backup)"
)
"""Copies of the database that were made before a restore and before a migration."""
SAFETY_COPY_DAYS = 30
BACKUP_NAME = re.compile(r"matinee-(\d{8}T\d{6})Z(-\d+)?\.db")


def timestamp(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")


def create_backup(data: Path, target: Path, *, now: float | None = None) -> Path:
    """Back up to the file `target`, or to a new file in the folder `target`; also beside a running Matinee.

    Raises DataFolderUnusable, OutputUnusable, DatabaseCorrupt or StoreFailed.
    """
    source = data / DATABASE_FILE
    if not source.is_file():
        raise DataFolderUnusable(str(data), "there is no database in it yet")
    try:
        if target.is_dir() or not target.suffix:
            target.mkdir(parents=True, exist_ok=True)
            target = _unused_path(target, timestamp(time.time() if now is None else now))
        elif target.exists():
            raise OutputUnusable(str(target), "there is a file already, and no backup replaces another")
        copy_database(source, target)
    except OSError as error:
        raise OutputUnusable(str(target), (error.strerror or str(error)).lower()) from error
    return target


def _unused_path(folder: Path, when: str) -> Path:
    names = (folder / f"matinee-{when}{f'-{n}' if n else ''}.db" for n in range(1000))
    return next(name for name in names if not name.exists())


def list_backups(folder: Path) -> list[Path]:
    """The backups with an automatic name, oldest first."""
    return sorted(path for path in folder.glob("matinee-*.db") if BACKUP_NAME.fullmatch(path.name))


def remove_oldest(folder: Path, keep: int) -> int:
    """Remove all but the newest `keep` backups, or none for 0; returns how many were removed."""
    old = list_backups(folder)[:-keep] if keep else []
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)


def remove_safety_copies(data: Path, *, older_than: float) -> int:
    """Remove the copies of the database that migrations and restores left before that time.

    They hold what was deleted since. Returns how many files were removed.
    """
    old = [
        path
        for path in data.glob(f"{DATABASE_FILE}.*")
        if SAFETY_COPY_NAME.fullmatch(path.name) and path.stat().st_mtime < older_than
    ]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)


def age_of_newest(folder: Path, now: float) -> float:
    """The age in seconds; infinite if there is no backup."""
    found = list_backups(folder)
    return now - found[-1].stat().st_mtime if found else float("inf")


def restore(
    backup: Path,
    data: Path,
    *,
    resume: bool = False,
    now: float | None = None,
    platforms_without_final_status: frozenset[str] = frozenset(),
) -> Restored:
    """Replace the database in `data` with the backup; see `restore_backup`.

    Raises AlreadyRunning, DatabaseCorrupt or DatabaseNewer before anything has changed.
    """
    if not backup.is_file():
        raise OutputUnusable(str(backup), "there is no such file")
    now = time.time() if now is None else now
    lock = InstanceLock.acquire(data)
    try:
        old_name = f"{DATABASE_FILE}.before-{timestamp(now)}"
        clips = (entry.name for entry in (data / "clips").glob("*") if entry.name.isdecimal())
        highest_clip_number = max(map(int, clips), default=0)
        return restore_backup(
            backup,
            data,
            old_database_name=old_name,
            last_known_number=highest_clip_number,
            resume=resume,
            now=now,
            platforms_without_final_status=platforms_without_final_status,
        )
    except OSError as error:
        raise DataFolderUnusable(str(data), (error.strerror or str(error)).lower()) from error
    finally:
        lock.release()
