"""Keep the data folder within its budget, and remove files that no job needs."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from bot.i18n import messages
from bot.store.integrity import read_ended_without_clip, read_input_files
from bot.store.store import JobClipFile, Store

log = structlog.get_logger(__name__)

ATTACHMENT_FOLDERS = ("inbox", "uploads")
"""Where frontends store the attachments of users."""
MIN_FILE_AGE = 3600.0
"""In seconds. The job of a younger file may not be in the database yet."""
BATCH_SIZE = 50


@dataclass(frozen=True, slots=True)
class BudgetResult:
    """What was removed, and how many bytes are still used."""

    clips: int = 0
    attachments: int = 0
    bytes: int = 0
    used: int = 0


class Janitor:
    """`budget` is in bytes; 0 means no limit."""

    def __init__(
        self, *, store: Store, data: Path, budget: int, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._data = data.absolute()
        self._budget = budget
        self._clock = clock

    def remove_unused_attachments(self, *, min_age: float = MIN_FILE_AGE) -> int:
        """Remove attachments that no job names; returns how many. Blocks: call it in a thread.

        Before the frontends start, no file is too young: a crash left those without a job.
        """
        old = [path for path in self._attachments() if self._age(path) >= min_age]
        if not old:
            return 0
        wanted = read_input_files(self._data)
        stale = [path for path in old if str(path) not in wanted]
        for path in stale:
            remove_file_or_clip(path, self._data)
        return len(stale)

    def _attachments(self) -> list[Path]:
        folders = [self._data / name for name in ATTACHMENT_FOLDERS]
        return [path for folder in folders for path in folder.rglob("*") if path.is_file()]

    def _remove_attachments_of_ended_jobs(self, surplus: int) -> int:
        """Remove the oldest attachments of ended jobs until `surplus` bytes are free; returns the bytes."""
        found = sorted(self._attachments(), key=self._age, reverse=True)
        needed = read_input_files(self._data, unfinished_only=True) if found else set()
        freed = 0
        for path in found:
            if freed >= surplus:
                break
            if str(path) not in needed and self._age(path) > MIN_FILE_AGE:
                freed += remove_file_or_clip(path, self._data)
        return freed

    def _attachment_bytes(self) -> int:
        return sum(folder_bytes(self._data / name) for name in ATTACHMENT_FOLDERS)

    def remove_orphaned_clips(self) -> int:
        """Remove the folders of ended jobs that keep no clip; returns how many. Blocks, as above."""
        clips = self._data / "clips"
        old = [path for path in clips.glob("*") if path.name.isdecimal() and self._age(path) > MIN_FILE_AGE]
        if not old:
            return 0
        ended = read_ended_without_clip(self._data)
        stale = [path for path in old if int(path.name) in ended]
        for path in stale:
            shutil.rmtree(path, ignore_errors=True)
        return len(stale)

    def _age(self, path: Path) -> float:
        return self._clock() - path.stat().st_mtime

    def used_bytes(self) -> int:
        """Bytes in the data folder. Blocks: call it in a thread."""
        return folder_bytes(self._data)

    async def enforce_budget(self, used: int) -> BudgetResult:
        """Remove files until the used bytes fit the budget: attachments of ended jobs, then delivered clips.

        Attachments never cost a clip: those that are still needed do not count for the clips.
        """
        removed = freed = 0
        if self._budget and used > self._budget:
            freed = await asyncio.to_thread(self._remove_attachments_of_ended_jobs, used - self._budget)
        attachments = await asyncio.to_thread(self._attachment_bytes)
        while self._budget and used - attachments - freed > self._budget:
            batch = await self._store.removable_clips(BATCH_SIZE)
            if not batch:
                log.warning(
                    "over budget, and no delivered clip is left to remove",
                    used=messages.file_size(used - freed),
                )
                break
            for one in batch:
                if used - attachments - freed <= self._budget:
                    break
                freed += await self._remove_clip(one)
                removed += 1
        return BudgetResult(clips=removed, bytes=freed, used=used - freed)

    async def _remove_clip(self, clip_file: JobClipFile) -> int:
        """Update the row first: a crash in between leaves a file without a job, not a row without a file."""
        if not await self._store.forget_clip(clip_file.job):
            return 0
        return remove_file_or_clip(clip_file.path, self._data / "clips")


def folder_bytes(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            stat = path.lstat()
        except OSError:  # deleted since
            continue
        total += stat.st_blocks * 512 if hasattr(stat, "st_blocks") else stat.st_size
    return total


def remove_file_or_clip(path: Path, root: Path) -> int:
    """Remove the file; for a clip, its whole folder of stills and smaller copies. Returns the freed bytes.

    Nothing outside `root` is removed.
    """
    path, root = path.absolute(), root.absolute()
    if root not in path.parents:
        return 0
    target = path.parent if path.parent.parent == root and path.parent.name.isdecimal() else path
    freed = folder_bytes(target) if target.is_dir() else 0
    if target.is_dir():
        shutil.rmtree(target, ignore_errors=True)
    else:
        freed = path.stat().st_blocks * 512 if path.exists() else 0
        path.unlink(missing_ok=True)
        _remove_if_empty(path.parent, root)
    return freed


def _remove_if_empty(folder: Path, root: Path) -> None:
    if root not in {folder, folder.parent} and not any(folder.iterdir()):
        folder.rmdir()
