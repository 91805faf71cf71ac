"""Two loopback chats, and in front of them a bot that can be killed and started again on the same data."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.fakes.discord_server import DiscordServer, discord_server
from tests.fakes.telegram_server import TelegramServer
from tests.faults.bot_process import Life
from tests.fork_server import Born, nursery
from tests.paths import ROOT

UNHURRIED = 60.0
"""Seconds in which a bot must take a command here: how quick it is, is asked elsewhere, and of one alone."""


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
class Theatre:
    folder: Path
    discord: DiscordServer
    telegram: TelegramServer
    births: list[asyncio.Task[int]] = field(default_factory=list)
    born: dict[int, asyncio.Task[int]] = field(default_factory=dict)  # and the end of each

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def life(self, *platforms: str, **facts: Any) -> Life:
        reach: dict[str, Any] = {}
        if "discord" in platforms:
            reach["discord"] = (self.discord.port, self.discord.authority, self.discord.token)
        if "telegram" in platforms:
            reach["telegram"] = (self.telegram.url, self.telegram.token)
        return Life(data=str(self.data), **reach, **facts)

    async def start(self, life: Life) -> int:
        """Whoever stops waiting leaves a bot of this house all the same, never one for the next to ask."""
        birth = asyncio.create_task(self._bear(life))
        self.births.append(birth)
        return await asyncio.shield(birth)

    async def _bear(self, life: Life) -> int:
        born = await asyncio.to_thread(self._fork, life)
        self.born[born.pid] = asyncio.create_task(born.wait())
        return born.pid

    def _fork(self, life: Life) -> Born:
        with (self.folder / "log").open("ab") as log:
            words = ("tests.faults.bot_process", life.to_json())
            return nursery().bear(
                *words, folder=ROOT, environment=os.environ, out=log.fileno(), err=log.fileno()
            )

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
async def theatre(folder: Path) -> AsyncIterator[Theatre]:
    folder.mkdir(parents=True, exist_ok=True)
    async with discord_server() as discord, TelegramServer() as telegram:
        discord.limits = {}
        discord.rest.ack_within = UNHURRIED
        made = Theatre(folder, discord, telegram)
        try:
            yield made
        finally:
            await made.empty()
            await asyncio.sleep(0.05)  # connections that a dying bot had just opened are taken up, and closed
