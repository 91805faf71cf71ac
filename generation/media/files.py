"""How a file comes to be: under a temporary name, made durable, then renamed; never half of one."""

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
    """The error that says what a failed system call means for the person."""
    if error.errno in _DISK_FULL_ERRNOS:
        return DiskFull(str(folder))
    if error.errno in _UNWRITABLE_ERRNOS:
        return FolderUnwritable(str(folder))
    return EncodeFailed(stage, str(error))


def disk_is_full(folder: Path) -> bool:
    """Whether there is no room to speak of: then that is why a library failed, whatever it says itself."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize < _MIN_FREE_BYTES


def rename_durably(part: Path, target: Path) -> None:
    """Give a finished file its name so that a power cut leaves either the whole of it or nothing."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    pass_failpoint(FailPoint.RENAME)
    part.replace(target)
    pass_failpoint(FailPoint.RENAMED)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Make durable which names are in it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(target: Path, data: bytes) -> None:
    """All of it or nothing, in a folder that is made if need be; raises DiskFull and its like."""
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
    """With all above it; a file that outlives a power cut needs a folder that does."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for one in missing:
        sync_folder(one.parent)


@asynccontextmanager
async def atomic_file(target: Path, stage: str) -> AsyncIterator[Path]:
    """A temporary name that becomes `target` when the block ends well and is removed otherwise."""
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
