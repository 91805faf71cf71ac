"""What a crash left half written: it has a temporary name, and is of use to nobody."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

TEMPORARY = re.compile(
    r".*\.part($|[.-].*)|\.(fit|identity)-.*|\.writable|matinee\.db\.restored.*", re.DOTALL
)
FOLDERS = ("clips", "inbox", "uploads", "backups")


def leftovers(data: Path, *, older_than: float = 0.0) -> list[Path]:
    """Files and folders under a temporary name, last touched so many seconds ago."""
    before = time.time() - older_than
    return [path for path in _everything(data) if TEMPORARY.fullmatch(path.name) and _age(path) <= before]


def _everything(data: Path) -> Iterator[Path]:
    """What lies at the top, and what may be written anew: models and caches keep their own order."""
    yield from data.glob("*")
    for name in FOLDERS:
        yield from (data / name).rglob("*")


def _age(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:  # gone by itself
        return float("inf")


def clear(data: Path, *, older_than: float = 0.0) -> int:
    """Remove them; how many there were."""
    found = leftovers(data, older_than=older_than)
    for path in found:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return len(found)
