"""Two loopback chats, and in front of them a bot that can be killed and started again on the same data."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.fakes.discord_server import DiscordServer, discord_server
from tests.fakes.telegram_server import TelegramServer
from tests.faults.house import Life

ROOT = Path(__file__).parents[2]
PATIENT = 60.0


async def gone(pid: int) -> None:
    """Until that process has ended, without looking again and again."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def named(pid: int, word: str) -> list[int]:
    """Its descendants whose command holds that word: the engine's child, an ffmpeg."""
    found = []
    for process in descendants(pid):
        with suppress(psutil.Error):
            if any(word in part for part in process.cmdline()[:3]):
                found.append(process.pid)
    return found


@dataclass
class Maternity:
    """Where bots are born, in a process that has imported everything already."""

    process: asyncio.subprocess.Process
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def bear(self, life: Life) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        async with self.turn:
            self.process.stdin.write(life.to_line())
            return int(await asyncio.wait_for(self.process.stdout.readline(), PATIENT))


@asynccontextmanager
async def maternity() -> AsyncIterator[Maternity]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.house", cwd=ROOT, stdin=pipe, stdout=pipe
    )
    try:
        yield Maternity(process)
    finally:
        process.kill()
        await process.wait()


@dataclass
class Theatre:
    folder: Path
    discord: DiscordServer
    telegram: TelegramServer
    maternity: Maternity
    births: list[asyncio.Task[int]] = field(default_factory=list)
    born: dict[int, asyncio.Task[None]] = field(default_factory=dict)  # and the end of each

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def life(self, *platforms: str, **facts: Any) -> Life:
        reach: dict[str, Any] = {}
        if "discord" in platforms:
            reach["discord"] = (self.discord.port, self.discord.authority, self.discord.token)
        if "telegram" in platforms:
            reach["telegram"] = (self.telegram.url, self.telegram.token)
        return Life(data=str(self.data), log=str(self.folder / "log"), **reach, **facts)

    async def start(self, life: Life) -> int:
        """Whoever stops waiting leaves a bot of this house all the same, never one for the next to ask."""
        birth = asyncio.create_task(self._bear(life))
        self.births.append(birth)
        return await asyncio.shield(birth)

    async def _bear(self, life: Life) -> int:
        pid = await self.maternity.bear(life)
        self.born[pid] = asyncio.create_task(gone(pid))
        return pid

    def alive(self, pid: int) -> bool:
        return not self.born[pid].done()

    async def ended(self, pid: int) -> None:
        await asyncio.shield(self.born[pid])

    async def end(self, pid: int) -> None:
        """With all that it started."""
        if self.alive(pid):
            kill([pid, *(process.pid for process in descendants(pid))])
        await self.ended(pid)

    async def empty(self) -> None:
        """Nobody lives here any more, nor is about to be born."""
        await asyncio.gather(*self.births, return_exceptions=True)
        for pid in self.born:
            await self.end(pid)

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Looked up beside the running bot; nothing where there is no database yet."""
        path = self.data / "matinee.db"
        if not path.exists():
            return []
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=10)) as database:
            try:
                return database.execute(sql, values).fetchall()
            except sqlite3.OperationalError as error:
                if "no such table" in str(error):
                    return []
                raise


@asynccontextmanager
async def theatre(folder: Path, bears: Maternity) -> AsyncIterator[Theatre]:
    folder.mkdir(parents=True, exist_ok=True)
    async with discord_server() as discord, TelegramServer() as telegram:
        discord.limits = {}
        made = Theatre(folder, discord, telegram, bears)
        try:
            yield made
        finally:
            await made.empty()
            await asyncio.sleep(0.05)  # connections that a dying bot had just opened are taken up, and closed
