"""Only one Matinee runs per data folder. The kernel releases the lock when the process ends."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from bot.domain.errors import AlreadyRunning, DataFolderUnusable


@dataclass(frozen=True, slots=True)
class InstanceLock:
    descriptor: int

    @classmethod
    def acquire(cls, folder: Path) -> InstanceLock:
        """Raises AlreadyRunning if this or another process holds the lock, or DataFolderUnusable."""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(folder / "matinee.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise DataFolderUnusable(str(folder), error.strerror or str(error)) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 20)
            os.close(descriptor)
            raise AlreadyRunning(str(folder), int(holder) if holder.isdigit() else None) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        return cls(descriptor)

    def release(self) -> None:
        os.close(
            self.descriptor
        )  # the file stays: without it, two processes could each lock a file of their own
