"""Everything that should be true of a data folder, looked at: pages, references, sums, files both ways."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bot.domain.errors import DatabaseCorrupt, DataFolderUnusable
from bot.maintenance.temp_files import leftovers
from bot.store import integrity
from bot.store.backup import reading
from bot.store.integrity import Wrong
from bot.store.migrate import inspect, steps
from bot.store.store import FILE

NEEDS_FILE = {"rendered", "delivering", "uncertain", "held"}
HARMLESS = {"file_gone", "nobodys", "leftover"}
"""Worth knowing, but nothing is wrong and nothing is lost."""
YOUNG = 3600.0
"""A temporary file younger than this may be somebody's work at this moment."""


@dataclass(frozen=True, slots=True)
class Report:
    jobs: int
    found: tuple[Wrong, ...]

    @property
    def sound(self) -> bool:
        return all(one.kind in HARMLESS for one in self.found)


def look_over(data: Path) -> Report:
    """Raises a StartError where there is nothing that could be looked at."""
    path = data / FILE
    if not path.is_file():
        raise DataFolderUnusable(str(data), "there is no database in it yet")
    try:
        with reading(path) as c:
            if inspect(c, path, steps()) == 0:
                raise DatabaseCorrupt(str(path), "there is nothing in it")
            c.execute("BEGIN")  # one view of everything, beside whatever is being written
            numbers = integrity.numbers(c)
            found = [*integrity.wrongs(c), *_without_file(c), *_without_job(c, data / "clips", numbers)]
    except sqlite3.Error as error:
        raise DatabaseCorrupt(str(path), str(error)) from error
    found += [Wrong(kind="leftover", detail=str(path)) for path in leftovers(data, older_than=YOUNG)]
    return Report(len(numbers), tuple(found))


def _without_file(c: sqlite3.Connection) -> Iterator[Wrong]:
    for one in integrity.holdings(c):
        if not one.path.is_file():
            kind = "no_file" if one.state in NEEDS_FILE else "file_gone"
            yield Wrong(kind=kind, job=one.job, detail=str(one.path))


def _without_job(c: sqlite3.Connection, clips: Path, numbers: set[int]) -> Iterator[Wrong]:
    holders = {one.job for one in integrity.holdings(c)} | integrity.at_work(c)
    for entry in sorted(clips.glob("*")):
        number = int(entry.name) if entry.name.isdecimal() else None
        if number is None or number not in numbers:
            yield Wrong(kind="nobodys", detail=str(entry))
        elif number not in holders and any(entry.glob("clip.*")):
            yield Wrong(kind="nobodys", job=number, detail=str(entry))
