"""Check a data folder: database pages, references and sums, clips without a file and files without a job."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bot.maintenance.temp_files import find_temp_files
from bot.store.integrity import DatabaseSnapshot, Inconsistency, read_snapshot

STATES_WITH_A_FILE = {"rendered", "delivering", "uncertain", "held"}
HARMLESS_KINDS = {"file_gone", "nobodys", "leftover"}
"""Reported, but nothing is wrong and nothing is lost."""
MIN_TEMP_FILE_AGE = 3600.0
"""In seconds. A younger temporary file may be in use."""


@dataclass(frozen=True, slots=True)
class IntegrityReport:
    jobs: int
    problems: tuple[Inconsistency, ...]

    @property
    def sound(self) -> bool:
        return all(one.kind in HARMLESS_KINDS for one in self.problems)


def check_data_folder(data: Path) -> IntegrityReport:
    """Raises a StartError if there is no database that can be checked."""
    snapshot = read_snapshot(data)
    problems = (
        *snapshot.inconsistencies,
        *_jobs_without_file(snapshot),
        *_files_without_job(snapshot, data / "clips"),
        *_leftovers(data),
    )
    return IntegrityReport(len(snapshot.jobs), problems)


def _jobs_without_file(snapshot: DatabaseSnapshot) -> Iterator[Inconsistency]:
    for one in snapshot.clip_files:
        if not one.path.is_file():
            kind = "no_file" if one.state in STATES_WITH_A_FILE else "file_gone"
            yield Inconsistency(kind=kind, job=one.job, detail=str(one.path))


def _files_without_job(snapshot: DatabaseSnapshot, clips: Path) -> Iterator[Inconsistency]:
    jobs_with_files = {one.job for one in snapshot.clip_files} | snapshot.queued_or_running
    for entry in sorted(clips.glob("*")):
        number = int(entry.name) if entry.name.isdecimal() else None
        if number is None or number not in snapshot.jobs:
            yield Inconsistency(kind="nobodys", detail=str(entry))
        elif number not in jobs_with_files and any(entry.glob("clip.*")):
            yield Inconsistency(kind="nobodys", job=number, detail=str(entry))


def _leftovers(data: Path) -> Iterator[Inconsistency]:
    for path in find_temp_files(data, older_than=MIN_TEMP_FILE_AGE):
        yield Inconsistency(kind="leftover", detail=str(path))
