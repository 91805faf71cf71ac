"""How a file comes to be: under a temporary name, made durable, then renamed; never half of one."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from generation.errors import DiskFull, EncodeFailed, FolderUnwritable, GenerationError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_UNWRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR}


def told(error: OSError, folder: Path, stage: str) -> GenerationError:
    """The error that says what a failed system call means for the person."""
    if error.errno in _FULL:
        return DiskFull(str(folder))
    if error.errno in _UNWRITABLE:
        return FolderUnwritable(str(folder))
    return EncodeFailed(stage, str(error))


def settle(part: Path, target: Path) -> None:
    """Give a finished file its name so that a power cut leaves either the whole of it or nothing."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@asynccontextmanager
async def finished(target: Path, stage: str) -> AsyncIterator[Path]:
    """A temporary name that becomes `target` when the block ends well and is removed otherwise."""
    if not target.parent.is_dir() or not os.access(target.parent, os.W_OK | os.X_OK):
        raise FolderUnwritable(str(target.parent))
    part = target.with_name(target.name + ".part")
    try:
        yield part
        await asyncio.to_thread(settle, part, target)
    except OSError as error:
        raise told(error, target.parent, stage) from error
    finally:
        part.unlink(missing_ok=True)
