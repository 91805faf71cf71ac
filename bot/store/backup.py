"""Back up the database while it is in use, verify a backup, and restore one."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from bot.domain.errors import DatabaseCorrupt, DataFolderUnusable, StoreFailed
from bot.store import privacy, queue, status_outbox
from bot.store.connection import Connection, open_read_only
from bot.store.database import DATABASE_FILE
from bot.store.deletion_list import FILE_NAME, DeletionList
from bot.store.migrate import load_migrations, migrate
from bot.store.untrusted_database import check_schema, check_values, open_untrusted
from generation.errors import DiskFull
from generation.media.files import rename_durably

SIDE_FILES = ("-wal", "-shm", "-journal")
_DISK_ERRORS = {
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PERM,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """The path of the previous database, and how many unfinished jobs of the backup were ended.

    They were ended because they may have been rendered or sent after the backup was taken.
    """

    old_database: Path | None
    cancelled: int
    uncertain: int
    deleted_again: int = 0
    """How many users had deleted their data after the backup was taken."""


def copy_database(source: Path, target: Path) -> None:
    """Copy everything that was committed before this call. The target is complete and checked, or absent."""
    part = target.with_name(f"{target.name}.part")
    try:
        _copy_pages(source, part)
        with closing(sqlite3.connect(part, isolation_level=None)) as copy:
            _check(copy, source)
        rename_durably(part, target)
    except (sqlite3.Error, UnicodeError) as error:
        raise _as_user_error(error, source, target.parent) from error
    finally:
        _remove(part)


def _remove(path: Path) -> None:
    for name in (path.name, *(f"{path.name}{end}" for end in SIDE_FILES)):
        path.with_name(name).unlink(missing_ok=True)


def _check(c: sqlite3.Connection, path: Path) -> None:
    verdict = c.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if verdict != "ok":
        raise DatabaseCorrupt(str(path), verdict)
    broken = c.execute("PRAGMA foreign_key_check").fetchone()
    if broken:
        raise DatabaseCorrupt(str(path), f"a row of {broken[0]} belongs to nothing")


def restore_backup(
    backup: Path,
    folder: Path,
    *,
    old_database_name: str,
    last_known_number: int,
    resume: bool,
    now: float,
    platforms_without_final_status: frozenset[str] = frozenset(),
) -> Restored:
    """Replace the database with the backup; the old one is kept as `old_database_name`.

    The caller holds the folder's lock. Without `resume`, unfinished jobs of the backup are ended: they may
    have been rendered or sent since. New jobs get numbers above `last_known_number` and above all numbers
    of the old database, because buttons in old messages name those. What users deleted since the backup is
    deleted again.
    """
    deletions = _read_deletions(folder)
    restored, current = folder / f"{DATABASE_FILE}.restored", folder / DATABASE_FILE
    last_number = max(last_known_number, _last_number(current))
    try:
        copy_untrusted(backup, restored)
        with closing(sqlite3.connect(restored, isolation_level=None, factory=Connection)) as c:
            c.platforms_without_final_status = platforms_without_final_status
            c.execute("PRAGMA trusted_schema = OFF")
            c.execute("PRAGMA secure_delete = ON")
            migrate(c, restored, load_migrations(), keep_copy=False)  # the backup itself is the copy
            check_values(c, backup)
            c.execute("BEGIN IMMEDIATE")
            ended = (0, 0) if resume else _end_unfinished(c, now)
            deleted = privacy.delete_again(c, deletions) if deletions else 0
            _raise_job_sequence(c, last_number)
            c.execute("COMMIT")
            if deleted:
                c.execute("VACUUM")  # pages that were free in the backup may hold deleted text
        kept = _keep_old_database(current, folder / old_database_name) if current.exists() else None
        rename_durably(restored, current)
    except (sqlite3.Error, UnicodeError) as error:  # sqlite3 cannot decode some of its own messages
        raise _as_user_error(error, backup, folder) from error
    finally:
        _remove(restored)
    return Restored(old_database=kept, cancelled=ended[0], uncertain=ended[1], deleted_again=deleted)


def copy_untrusted(backup: Path, target: Path) -> None:
    """Copy a file that anybody may have written, then check its schema, every page, index and reference.

    Raises DatabaseCorrupt, DatabaseNewer, DiskFull or StoreFailed.
    """
    if backup.stat().st_size > shutil.disk_usage(target.parent).free:
        raise DiskFull(str(target.parent))
    try:
        _copy_pages(backup, target)
        with open_untrusted(target) as found:
            check_schema(found, backup)
            _check(found, backup)
    except (sqlite3.Error, UnicodeError) as error:
        raise _as_user_error(error, backup, target.parent) from error


def _copy_pages(source: Path, target: Path) -> None:
    """Copy the pages without reading what they hold."""
    _remove(target)
    target.touch(mode=0o600)  # SQLite would use the umask
    with open_read_only(source) as found, closing(sqlite3.connect(target, isolation_level=None)) as copy:
        found.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # WAL mode would need a second file beside it


def _as_user_error(error: sqlite3.Error | UnicodeError, source: Path, target: Path) -> Exception:
    """Only a full disk is no fault of the file that was to be read."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return DiskFull(str(target))
    if code in _DISK_ERRORS:
        return StoreFailed(str(source), str(error))
    return DatabaseCorrupt(str(source), str(error))


def _read_deletions(folder: Path) -> DeletionList | None:
    """Raises DataFolderUnusable for a damaged list: restoring without it would undo deletions unnoticed."""
    try:
        return DeletionList.read(folder)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataFolderUnusable(str(folder), f"its {FILE_NAME} is damaged: {error}") from error


def _end_unfinished(c: sqlite3.Connection, now: float) -> tuple[int, int]:
    c.execute("UPDATE job SET painted = 0 WHERE state = 'running'")  # its frames are lost: it is refunded
    waiting = c.execute("SELECT id FROM job WHERE state IN ('queued', 'running') ORDER BY id DESC").fetchall()
    for row in waiting:
        queue.cancel(c, row["id"], now=now)
    sql = "UPDATE job SET state = 'uncertain' WHERE state IN ('rendered', 'delivering') RETURNING id"
    doubtful = c.execute(sql).fetchall()
    for row in doubtful:
        status_outbox.add(c, row["id"])
    return len(waiting), len(doubtful)


def _last_number(path: Path) -> int:
    """The highest job number that a database assigned; 0 if it cannot be read."""
    with suppress(sqlite3.Error), open_read_only(path) as c:
        row = c.execute("SELECT seq FROM sqlite_sequence WHERE name = 'job'").fetchone()
        return int(row[0]) if row else 0
    return 0


def _raise_job_sequence(c: sqlite3.Connection, number: int) -> None:
    known = c.execute("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'job'", (number,)).rowcount
    if not known:
        c.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('job', ?)", (number,))


def _keep_old_database(current: Path, kept: Path) -> Path:
    """Keep the old database by a hard link, so that a start finds a database at every moment."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(current, isolation_level=None)) as old:
        old.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    try:
        os.link(current, kept)
    except OSError:  # the file system has no hard links
        shutil.copyfile(current, kept)
    for end in SIDE_FILES:  # they remain only if the old database cannot be opened
        left = current.with_name(current.name + end)
        if left.exists():
            left.replace(kept.with_name(kept.name + end))
    return kept
