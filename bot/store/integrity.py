"""Consistency of the ledger, the jobs and their files, and which files the database refers to."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.domain.errors import DatabaseCorrupt, DataFolderUnusable, StoreFailed
from bot.store.connection import open_read_only
from bot.store.database import DATABASE_FILE
from bot.store.migrate import load_migrations, schema_version


@dataclass(frozen=True, slots=True, kw_only=True)
class Inconsistency:
    """An inconsistency that was found; `kind` selects the message that describes it."""

    kind: str
    job: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobClipFile:
    """A job and the path of its clip."""

    job: int
    state: str
    path: Path


MISMATCHED_CREDITS = """
SELECT * FROM (
    SELECT job.id, job.state, job.cost,
        coalesce(sum(ledger.credits) FILTER (WHERE ledger.kind = 'reserve'), 0) AS reserved,
        coalesce(sum(ledger.credits) FILTER (WHERE ledger.kind = 'refund'), 0) AS refunded,
        count(*) FILTER (WHERE ledger.kind = 'refund') AS refunds,
        count(*) FILTER (WHERE ledger.kind = 'settle') AS settles
    FROM job LEFT JOIN ledger ON ledger.job = job.id GROUP BY job.id
)
WHERE reserved <> -cost
   OR (refunds AND refunded <> -reserved)
   OR CASE state
        WHEN 'queued' THEN refunds OR settles
        WHEN 'running' THEN refunds OR settles
        WHEN 'held' THEN refunds
        WHEN 'failed' THEN cost AND NOT refunds
        WHEN 'cancelled' THEN cost AND (refunds > 0) = (settles > 0)
        ELSE cost AND (refunds OR NOT settles)
      END
ORDER BY id
"""

ENTRIES_WITHOUT_JOB = (
    "SELECT DISTINCT job FROM ledger WHERE job IS NOT NULL AND job NOT IN (SELECT id FROM job) ORDER BY job"
)


def find_inconsistencies(c: sqlite3.Connection) -> Iterator[Inconsistency]:
    """Check the database pages, the foreign keys and the credits of every job."""
    for row in c.execute("PRAGMA integrity_check"):
        if row[0] != "ok":
            yield Inconsistency(kind="damaged", detail=row[0])
    for row in c.execute("PRAGMA foreign_key_check"):
        yield Inconsistency(kind="reference", detail=f"{row[0]} {row[1]}")
    for row in c.execute(MISMATCHED_CREDITS):
        amounts = f"cost {row['cost']}, reserved {row['reserved']}, refunded {row['refunded']}"
        yield Inconsistency(
            kind="sum", job=row["id"], detail=f"{amounts}, settled {row['settles']}, {row['state']}"
        )
    for row in c.execute(ENTRIES_WITHOUT_JOB):
        yield Inconsistency(kind="stray", job=row["job"])
    moved = c.execute("SELECT coalesce(sum(credits), 0) FROM ledger WHERE kind = 'move'").fetchone()[0]
    if moved:
        yield Inconsistency(kind="moved", detail=str(moved))


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSnapshot:
    """What the database of a data folder says about jobs and files at one moment."""

    inconsistencies: tuple[Inconsistency, ...]
    jobs: frozenset[int]
    clip_files: tuple[JobClipFile, ...]
    queued_or_running: frozenset[int]


def read_snapshot(data: Path) -> DatabaseSnapshot:
    """Read and check the database, also beside a running Matinee. Blocks: call it in a thread.

    Raises DataFolderUnusable, DatabaseCorrupt or DatabaseNewer.
    """
    path = data / DATABASE_FILE
    if not path.is_file():
        raise DataFolderUnusable(str(data), "there is no database in it yet")
    try:
        with open_read_only(path) as c:
            if schema_version(c, path, load_migrations()) == 0:
                raise DatabaseCorrupt(str(path), "there is nothing in it")
            c.execute("BEGIN")  # one view of all tables, whatever is written meanwhile
            return DatabaseSnapshot(
                jobs=frozenset(job_numbers(c)),
                inconsistencies=tuple(find_inconsistencies(c)),
                clip_files=tuple(job_clip_files(c)),
                queued_or_running=frozenset(queued_or_running(c)),
            )
    except (sqlite3.Error, UnicodeError) as error:
        raise DatabaseCorrupt(str(path), str(error)) from error


def read_input_files(data: Path, *, unfinished_only: bool = False) -> set[str]:
    """Every file that a user attached to some job. Blocks: call it in a thread. Raises StoreFailed."""
    with _open_for_reading(data) as c:
        return input_files(c, unfinished_only=unfinished_only)


def read_ended_without_clip(data: Path) -> set[int]:
    """Jobs that ended and keep no clip. Blocks: call it in a thread. Raises StoreFailed."""
    with _open_for_reading(data) as c:
        return ended_without_clip(c)


@contextmanager
def _open_for_reading(data: Path) -> Iterator[sqlite3.Connection]:
    path = data / DATABASE_FILE
    try:
        with open_read_only(path) as c:
            yield c
    except sqlite3.Error as error:
        raise StoreFailed(str(path), str(error)) from error


def job_clip_files(c: sqlite3.Connection) -> list[JobClipFile]:
    """Every job that has a clip, and the path of the clip."""
    rows = c.execute("SELECT id, state, json_extract(clip, '$.path') AS path FROM job WHERE clip IS NOT NULL")
    return [JobClipFile(job=row["id"], state=row["state"], path=Path(row["path"])) for row in rows]


def job_numbers(c: sqlite3.Connection) -> set[int]:
    return {row["id"] for row in c.execute("SELECT id FROM job")}


def queued_or_running(c: sqlite3.Connection) -> set[int]:
    """Jobs whose clip may be written at any moment."""
    return {row["id"] for row in c.execute("SELECT id FROM job WHERE state IN ('queued', 'running')")}


ENDED_STATES = "('delivered', 'uncertain', 'failed', 'cancelled')"


def input_files(c: sqlite3.Connection, *, unfinished_only: bool = False) -> set[str]:
    """Every file that a user attached to some job, or to one that is not ended."""
    keys = ("$.image", "$.music.track", "$.music.melody")
    only = f" WHERE state NOT IN {ENDED_STATES}" if unfinished_only else ""
    rows = c.execute(f"SELECT json_extract(request, ?, ?, ?) AS paths FROM job{only}", keys)  # noqa: S608  (a constant)
    return {path for row in rows for path in json.loads(row["paths"]) if path}


def ended_without_clip(c: sqlite3.Connection) -> set[int]:
    """Jobs that ended and keep no clip: the files in their folders are not needed."""
    return {
        row["id"]
        for row in c.execute(f"SELECT id FROM job WHERE clip IS NULL AND state IN {ENDED_STATES}")  # noqa: S608  (a constant)
    }


REMOVABLE_CLIPS = """
SELECT id, json_extract(clip, '$.path') AS path FROM job
WHERE state = 'delivered' AND clip IS NOT NULL AND json_extract(clip, '$.path') NOT IN (
    SELECT coalesce(json_extract(request, '$.source'), json_extract(request, '$.image'), '') FROM job
    WHERE state IN ('queued', 'running', 'held'))
ORDER BY finished_at, id LIMIT ?
"""


def removable_clips(c: sqlite3.Connection, limit: int) -> list[JobClipFile]:
    """The oldest delivered clips that no unfinished job needs."""
    rows = c.execute(REMOVABLE_CLIPS, (limit,))
    return [JobClipFile(job=row["id"], state="delivered", path=Path(row["path"])) for row in rows]


def forget_clip(c: sqlite3.Connection, job: int) -> bool:
    """Remove the clip from the job; False if the job is to be sent again."""
    sql = "UPDATE job SET clip = NULL WHERE id = ? AND state = 'delivered'"
    return c.execute(sql, (job,)).rowcount == 1
