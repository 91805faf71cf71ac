"""Backups by the clock or by hand, kept up to a number, and the way back from one."""

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
BACKUP_NAME = re.compile(r"matinee-(\d{8}T\d{6})Z(-\d+)?\.db")


def timestamp(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")


def create_backup(data: Path, target: Path, *, now: float | None = None) -> Path:
    """Into that file, or under a name of its own into that folder; also beside a running Matinee."""
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
    """Those that were made under a name of our own, oldest first."""
    return sorted(path for path in folder.glob("matinee-*.db") if BACKUP_NAME.fullmatch(path.name))


def remove_oldest(folder: Path, keep: int) -> int:
    """Let the oldest go; how many went."""
    old = list_backups(folder)[:-keep] if keep else []
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)


def age_of_newest(folder: Path, now: float) -> float:
    """Seconds; without end where there is none."""
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
    """Raises AlreadyRunning, DatabaseCorrupt or DatabaseNewer, and has changed nothing then."""
    if not backup.is_file():
        raise OutputUnusable(str(backup), "there is no such file")
    now = time.time() if now is None else now
    lock = InstanceLock.acquire(data)
    try:
        aside = f"{DATABASE_FILE}.before-{timestamp(now)}"
        clips = (entry.name for entry in (data / "clips").glob("*") if entry.name.isdecimal())
        highest_clip_number = max(map(int, clips), default=0)
        return restore_backup(
            backup,
            data,
            old_database_name=aside,
            last_known_number=highest_clip_number,
            resume=resume,
            now=now,
            platforms_without_final_status=platforms_without_final_status,
        )
    except OSError as error:
        raise DataFolderUnusable(str(data), (error.strerror or str(error)).lower()) from error
    finally:
        lock.release()
