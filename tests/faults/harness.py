"""Two fake chat servers and a bot process that can be killed and restarted on the same data."""

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
from tests.faults.bot_process import BotRun
from tests.fork_server import ForkedProcess, fork_server
from tests.paths import ROOT

SLOW_ACK_SECONDS = 60.0
"""How long a bot may take to acknowledge a command here; speed is tested elsewhere, with one bot."""


def kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def descendants_with(pid: int, text: str) -> list[int]:
    """Descendants whose command line contains `text`, such as the engine process or ffmpeg."""
    found = []
    for process in descendants(pid):
        with suppress(psutil.Error):
            if any(text in part for part in process.cmdline()[:3]):
                found.append(process.pid)
    return found


@dataclass
class BotHarness:
    folder: Path
    discord: DiscordServer
    telegram: TelegramServer
    start_tasks: list[asyncio.Task[int]] = field(default_factory=list)
    exit_tasks: dict[int, asyncio.Task[int]] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def bot_run(self, *platforms: str, **facts: Any) -> BotRun:
        addresses: dict[str, Any] = {}
        if "discord" in platforms:
            addresses["discord"] = (self.discord.port, self.discord.authority, self.discord.token)
        if "telegram" in platforms:
            addresses["telegram"] = (self.telegram.url, self.telegram.token)
        return BotRun(data=str(self.data), **addresses, **facts)

    async def start(self, run: BotRun) -> int:
        """Start a bot. If the caller is cancelled, the bot still belongs to this harness."""
        start = asyncio.create_task(self._start_process(run))
        self.start_tasks.append(start)
        return await asyncio.shield(start)

    async def _start_process(self, run: BotRun) -> int:
        process = await asyncio.to_thread(self._fork, run)
        self.exit_tasks[process.pid] = asyncio.create_task(process.wait())
        return process.pid

    def _fork(self, run: BotRun) -> ForkedProcess:
        with (self.folder / "log").open("ab") as log:
            command = ("tests.faults.bot_process", run.to_json())
            return fork_server().spawn(
                *command, folder=ROOT, environment=os.environ, out=log.fileno(), err=log.fileno()
            )

    def is_running(self, pid: int) -> bool:
        return not self.exit_tasks[pid].done()

    async def wait_for_exit(self, pid: int) -> None:
        await asyncio.shield(self.exit_tasks[pid])

    async def kill_tree(self, pid: int) -> None:
        """Kill the bot and every process that it started."""
        if self.is_running(pid):
            kill([pid, *(process.pid for process in descendants(pid))])
        await self.wait_for_exit(pid)

    async def stop_all(self) -> None:
        """Stop every bot, including those that are still starting."""
        await asyncio.gather(*self.start_tasks, return_exceptions=True)
        for pid in self.exit_tasks:
            await self.kill_tree(pid)

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Query the database while the bot runs; an empty list if there is no database yet."""
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
async def bot_harness(folder: Path) -> AsyncIterator[BotHarness]:
    folder.mkdir(parents=True, exist_ok=True)
    async with discord_server() as discord, TelegramServer() as telegram:
        discord.limits = {}
        discord.rest.ack_deadline = SLOW_ACK_SECONDS
        harness = BotHarness(folder, discord, telegram)
        try:
            yield harness
        finally:
            await harness.stop_all()
            await asyncio.sleep(0.05)  # accept and close connections that a killed bot had just opened
