"""Find and remove incomplete files that a crash left under temporary names."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

TEMP_NAME = re.compile(
    r".*\.part($|[.-].*)|\.(fit|identity)-.*|\.writable|matinee\.db\.restored.*", re.DOTALL
)
SEARCHED_FOLDERS = ("clips", "inbox", "uploads", "backups")


def find_temp_files(data: Path, *, older_than: float = 0.0) -> list[Path]:
    """Files and folders with a temporary name that were last changed more than `older_than` seconds ago."""
    newest_allowed = time.time() - older_than
    return [
        path
        for path in _candidates(data)
        if TEMP_NAME.fullmatch(path.name) and _modified_at(path) <= newest_allowed
    ]


def _candidates(data: Path) -> Iterator[Path]:
    """Entries of the data folder and of SEARCHED_FOLDERS; models and caches clean up themselves."""
    yield from data.glob("*")
    for name in SEARCHED_FOLDERS:
        yield from (data / name).rglob("*")


def _modified_at(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:  # deleted since
        return float("inf")


def remove_temp_files(data: Path, *, older_than: float = 0.0) -> int:
    """Remove those files and folders; returns how many there were."""
    found = find_temp_files(data, older_than=older_than)
    for path in found:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return len(found)
