"""Write files atomically: to a temporary name, synced, then renamed; never a partial file."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from generation.errors import DiskFull, EncodeFailed, FolderUnwritable, GenerationError
from generation.failpoint import FailPoint, pass_failpoint

_DISK_FULL_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_MIN_FREE_BYTES = 1 << 20
_UNWRITABLE_ERRNOS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR}


def explain_os_error(error: OSError, folder: Path, stage: str) -> GenerationError:
    """The error that explains a failed system call to the user."""
    if error.errno in _DISK_FULL_ERRNOS:
        return DiskFull(str(folder))
    if error.errno in _UNWRITABLE_ERRNOS:
        return FolderUnwritable(str(folder))
    return EncodeFailed(stage, str(error))


def disk_is_full(folder: Path) -> bool:
    """Whether the disk is nearly full; then that is why a library failed, whatever its error says."""
    stats = os.statvfs(folder)
    return stats.f_bavail * stats.f_frsize < _MIN_FREE_BYTES


def rename_durably(part: Path, target: Path) -> None:
    """Rename a finished file; after a power cut, `target` is complete or unchanged."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    pass_failpoint(FailPoint.RENAME)
    part.replace(target)
    pass_failpoint(FailPoint.RENAMED)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Sync the folder's directory entries."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(target: Path, data: bytes) -> None:
    """Write a whole file or nothing, creating its folder; raises a GenerationError such as DiskFull."""
    part = target.with_name(target.name + ".part")
    try:
        make_folder(target.parent)
        part.write_bytes(data)
        rename_durably(part, target)
    except OSError as error:
        raise explain_os_error(error, target.parent, "write") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Create the folder and its parents, and sync them so that they survive a power cut."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        sync_folder(path.parent)


@asynccontextmanager
async def atomic_file(target: Path, stage: str) -> AsyncIterator[Path]:
    """Yields a temporary path, renamed to `target` if the block succeeds and removed otherwise."""
    if not target.parent.is_dir() or not os.access(target.parent, os.W_OK | os.X_OK):
        raise FolderUnwritable(str(target.parent))
    part = target.with_name(target.name + ".part")
    try:
        yield part
        await asyncio.to_thread(rename_durably, part, target)
    except OSError as error:
        raise explain_os_error(error, target.parent, stage) from error
    except EncodeFailed as error:
        if disk_is_full(target.parent):
            raise DiskFull(str(target.parent)) from error
        raise
    finally:
        part.unlink(missing_ok=True)
