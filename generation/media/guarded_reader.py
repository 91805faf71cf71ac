"""Open files of users only in short-lived child processes with limits, so that none can exhaust the bot."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from generation.clip import Clip
from generation.errors import AttachmentRefused
from generation.media.guarded_process import COMMAND, TOO_COSTLY, GuardedProcess
from generation.media.sandbox import Limits
from generation.request import Request

log = structlog.get_logger(__name__)

BUSY = "busy"


class GuardedReader:
    """Reads one file in one child process; at most `workers` at once, and `waiting` more in a queue.

    Paths are absolute. Every method raises AttachmentRefused with `name`, the user's name of the file, if the
    file cannot be used, also if its child died or used up a limit.
    """

    def __init__(
        self,
        *,
        workers: int = 2,
        waiting: int = 100,
        limits: Limits | None = None,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._slots = asyncio.Semaphore(workers)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="opened file")
        self._places = workers + waiting
        self._inside = 0
        self._limits = limits or Limits()
        self._command = tuple(command)

    async def clean_picture(self, path: Path, target: Path, name: str) -> tuple[int, int]:
        """Write a PNG without metadata of the first frame to `target`; returns its width and height."""
        width, height = await self._ask("clean picture", path, name, target=target)
        return width, height

    async def picture_size(self, path: Path, name: str) -> tuple[int, int]:
        width, height = await self._ask("picture size", path, name)
        return width, height

    async def check_sound(self, path: Path, name: str) -> None:
        await self._ask("check sound", path, name)

    async def read_clip(self, path: Path, name: str) -> Clip:
        return Clip.from_json(await self._ask("clip", path, name))

    async def read_recipe(self, path: Path, name: str) -> Request | None:
        """The request that the file carries, or None. Anybody can have written it."""
        found = await self._ask("recipe", path, name)
        return None if found is None else Request.from_json(found)

    async def _ask(self, kind: str, path: Path, name: str, *, target: Path | None = None) -> Any:
        if self._inside >= self._places:
            raise AttachmentRefused(name, BUSY)
        self._inside += 1
        try:
            async with self._slots:
                return await self._run_child(kind, path, name, target)
        finally:
            self._inside -= 1

    async def _run_child(self, kind: str, path: Path, name: str, target: Path | None) -> Any:
        """Start and read the child in a thread: uvloop forks the whole bot, which blocks it for 45 ms."""
        child = GuardedProcess(self._command)
        ask = partial(child.ask, kind, path, name, limits=self._limits, target=str(target or ""))
        reading = asyncio.get_running_loop().run_in_executor(self._threads, ask)
        try:
            async with asyncio.timeout(self._limits.wall_seconds + 1):
                found, _ = await asyncio.shield(reading)
        except TimeoutError as error:
            raise AttachmentRefused(name, TOO_COSTLY) from error
        except OSError as error:  # this machine has no room for another process now
            log.warning("no process to open a file", reason=str(error))
            raise AttachmentRefused(name, BUSY) from error
        finally:
            child.kill()
            await asyncio.wait([reading])
        return found
