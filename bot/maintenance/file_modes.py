"""Only the user that runs Matinee may read its files: they hold prompts, clips, chats' tokens and keys."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import structlog

from bot.maintenance.backups import list_backups

log = structlog.get_logger(__name__)

PRIVATE_UMASK = 0o077
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_private(data: Path, backups: Path) -> int:
    """Take the data folder, all that is in it, and the backups from other users.

    Earlier versions created them readable. Returns how many entries were changed. Blocks.
    """
    changed = sum(map(_take_from_others, [*_entries(data), *list_backups(backups)]))
    if changed:
        log.info("files are no longer readable by other users", files=changed)
    return changed


def _entries(folder: Path) -> Iterator[Path]:
    yield folder
    for parent, folders, files in os.walk(folder):  # does not follow links
        yield from (Path(parent, name) for name in (*folders, *files))


def _take_from_others(path: Path) -> bool:
    """Whether the mode was changed. Links, and files of other users, are left alone."""
    try:
        facts = path.lstat()
        if stat.S_ISLNK(facts.st_mode) or not facts.st_mode & OTHERS:
            return False
        path.chmod(stat.S_IMODE(facts.st_mode) & ~OTHERS)
    except OSError:  # removed since, or owned by another user
        return False
    return True
