"""`matinee health` is red when a part is dead or stuck, says which, and is green when it has recovered."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from bot.maintenance import health
from bot.maintenance.heartbeat import Life, Pulse
from tests.bot.app_harness import until
from tests.fakes.telegram_server import TOKEN, TelegramServer
from tests.fork_server import nursery
from tests.paths import ROOT

BOUND = 60.0
RUN = ("-m", "bot", "run")


@asynccontextmanager
async def matinee(folder: Path, *words: str, **variables: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *words,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "MATINEE_STUDIO_DATA": str(folder)} | variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()  # its engine, which holds the same pipes, has ended too


@asynccontextmanager
async def serving(folder: Path, *words: str, **variables: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """With a loopback Telegram, and well."""
    async with TelegramServer() as server:
        where = {"TELEGRAM_TOKEN": TOKEN, "MATINEE_TELEGRAM_API": server.url, **variables}
        async with matinee(folder, *words, **where) as process:
            await until(lambda: is_well(folder) or None, BOUND)
            yield process


def ailments(folder: Path) -> dict[str, Life]:
    found = health.judge(Pulse.read(folder), steady=time.monotonic())
    return {one.part: one.life for one in found}


def is_well(folder: Path) -> bool:
    return not ailments(folder)


def seen(folder: Path, part: str, life: Life) -> Callable[[], bool | None]:
    return lambda: ailments(folder).get(part) is life or None


async def ask(folder: Path, *words: str) -> tuple[int | None, str]:
    """Quickly: what it looks at may pass."""
    environment = os.environ | {"MATINEE_STUDIO_DATA": str(folder)}
    with tempfile.TemporaryFile() as said:
        asked = partial(nursery().bear, "bot", "health", *words, folder=folder, environment=environment)
        born = await asyncio.to_thread(asked, out=said.fileno(), err=said.fileno())
        code = await asyncio.wait_for(born.wait(), BOUND)
        said.seek(0)
        return code, said.read().decode()


def engine_of(pid: int) -> int:
    children = psutil.Process(pid).children()
    return next(child.pid for child in children if "generation" in child.cmdline())


def words_from(ear: socket.socket) -> list[str]:
    said = []
    while True:
        try:
            said.append(ear.recv(100).decode())
        except BlockingIOError:
            return said


@pytest.mark.timeout(300)  # it waits for what it waits for: a quarter of a minute twice
async def test_a_stopped_engine_and_a_stopped_bot_are_seen_and_recover(tmp_path: Path) -> None:
    ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    ear.bind(str(tmp_path / "notify"))
    ear.setblocking(False)
    with closing(ear):
        async with serving(tmp_path, *RUN, NOTIFY_SOCKET=str(tmp_path / "notify")) as bot:
            code, said = await ask(tmp_path)
            assert (code, "All is well: engine, worker, delivery, telegram" in said) == (0, True)
            assert words_from(ear)[:2] == ["WATCHDOG=1", "READY=1"]

            engine = engine_of(bot.pid)
            os.kill(engine, signal.SIGSTOP)
            await until(seen(tmp_path, "engine", Life.STUCK), BOUND)
            words_from(ear)
            code, said = await ask(tmp_path)
            assert (code, "Engine is" in said, "since" in said) == (1, True, True)
            assert "WATCHDOG=1" not in words_from(ear)
            await until(lambda: is_well(tmp_path) or None, BOUND)
            assert not psutil.pid_exists(engine)
            assert engine_of(bot.pid) != engine

            bot.send_signal(signal.SIGSTOP)
            await until(seen(tmp_path, "matinee", Life.STUCK), BOUND)
            code, said = await ask(tmp_path, "--json")
            facts: dict[str, Any] = json.loads(said)
            assert (code, facts["healthy"]) == (1, False)
            assert "no sign of life since" in facts["ailments"][0]["message"]
            bot.send_signal(signal.SIGCONT)
            await until(lambda: is_well(tmp_path) or None, BOUND)

            words_from(ear)
            bot.terminate()
            assert await asyncio.wait_for(bot.wait(), BOUND) == 0
            assert "STOPPING=1" in words_from(ear)
    code, said = await ask(tmp_path)
    assert (code, said) == (1, f"Matinee is not running on {tmp_path}.\n")


async def test_a_killed_engine_and_a_dead_chat_are_seen_and_brought_back(tmp_path: Path) -> None:
    def torn() -> bool | None:
        """Also when it was back before anybody looked: the next time it stays away for longer."""
        bot.send_signal(signal.SIGUSR1)
        return seen(tmp_path, "telegram", Life.DEAD)()

    async with serving(tmp_path, "-m", "tests.bot.maintenance.killable_chat", str(tmp_path)) as bot:
        await until(torn, BOUND)
        await until(lambda: is_well(tmp_path) or None, BOUND)
        os.kill(engine_of(bot.pid), signal.SIGKILL)
        await until(seen(tmp_path, "engine", Life.DEAD), BOUND)
        await until(lambda: is_well(tmp_path) or None, BOUND)


async def test_a_refused_token_ends_it_with_a_sentence_and_a_code(tmp_path: Path) -> None:
    async with TelegramServer(token="1:another") as server:  # noqa: S106  (opens nothing)
        where = {"TELEGRAM_TOKEN": TOKEN, "MATINEE_TELEGRAM_API": server.url}
        async with matinee(tmp_path, *RUN, **where) as bot:
            _, told = await asyncio.wait_for(bot.communicate(), BOUND)
    assert bot.returncode == 3
    assert "no chat left to serve: telegram" in told.decode()
    assert "Traceback" not in told.decode()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', '{"parts": {"engine": {"life": "odd"}}}'])
async def test_what_is_no_pulse_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "pulse.json").write_text(text)
    assert Pulse.read(tmp_path) is None
    assert (await ask(tmp_path))[0] == 1
