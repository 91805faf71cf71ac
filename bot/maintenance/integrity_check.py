"""Everything that should be true of a data folder, looked at: pages, references, sums, files both ways."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bot.domain.errors import DatabaseCorrupt, DataFolderUnusable
from bot.maintenance.temp_files import find_temp_files
from bot.store import integrity
from bot.store.backup import open_read_only
from bot.store.integrity import Inconsistency
from bot.store.migrate import load_migrations, schema_version
from bot.store.store import DATABASE_FILE

STATES_WITH_A_FILE = {"rendered", "delivering", "uncertain", "held"}
HARMLESS_KINDS = {"file_gone", "nobodys", "leftover"}
"""Worth knowing, but nothing is wrong and nothing is lost."""
MIN_TEMP_FILE_AGE = 3600.0
"""A temporary file younger than this may be somebody's work at this moment."""


@dataclass(frozen=True, slots=True)
class IntegrityReport:
    jobs: int
    problems: tuple[Inconsistency, ...]

    @property
    def sound(self) -> bool:
        return all(one.kind in HARMLESS_KINDS for one in self.problems)


def check_data_folder(data: Path) -> IntegrityReport:
    """Raises a StartError where there is nothing that could be looked at."""
    path = data / DATABASE_FILE
    if not path.is_file():
        raise DataFolderUnusable(str(data), "there is no database in it yet")
    try:
        with open_read_only(path) as c:
            if schema_version(c, path, load_migrations()) == 0:
                raise DatabaseCorrupt(str(path), "there is nothing in it")
            c.execute("BEGIN")  # one view of everything, beside whatever is being written
            numbers = integrity.job_numbers(c)
            problems = [
                *integrity.find_inconsistencies(c),
                *_jobs_without_file(c),
                *_files_without_job(c, data / "clips", numbers),
            ]
    except sqlite3.Error as error:
        raise DatabaseCorrupt(str(path), str(error)) from error
    problems += [
        Inconsistency(kind="leftover", detail=str(path))
        for path in find_temp_files(data, older_than=MIN_TEMP_FILE_AGE)
    ]
    return IntegrityReport(len(numbers), tuple(problems))


def _jobs_without_file(c: sqlite3.Connection) -> Iterator[Inconsistency]:
    for one in integrity.job_clip_files(c):
        if not one.path.is_file():
            kind = "no_file" if one.state in STATES_WITH_A_FILE else "file_gone"
            yield Inconsistency(kind=kind, job=one.job, detail=str(one.path))


def _files_without_job(c: sqlite3.Connection, clips: Path, numbers: set[int]) -> Iterator[Inconsistency]:
    jobs_with_files = {one.job for one in integrity.job_clip_files(c)} | integrity.queued_or_running(c)
    for entry in sorted(clips.glob("*")):
        number = int(entry.name) if entry.name.isdecimal() else None
        if number is None or number not in numbers:
            yield Inconsistency(kind="nobodys", detail=str(entry))
        elif number not in jobs_with_files and any(entry.glob("clip.*")):
            yield Inconsistency(kind="nobodys", job=number, detail=str(entry))
