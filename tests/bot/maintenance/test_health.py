"""`matinee health` fails while a part is dead or stuck, names the part, and succeeds after it recovered."""

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
from bot.maintenance.heartbeat import HealthState, Heartbeat
from tests.bot.app_harness import wait_until
from tests.fakes.telegram_server import TOKEN, TelegramServer
from tests.fork_server import fork_server
from tests.paths import ROOT

pytestmark = pytest.mark.slow

TIMEOUT = 60.0
RUN = ("-m", "bot", "run")


@asynccontextmanager
async def matinee_process(
    folder: Path, *words: str, **variables: str
) -> AsyncIterator[asyncio.subprocess.Process]:
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
        await process.communicate()  # the engine, which holds the same pipes, has ended too


@asynccontextmanager
async def healthy_matinee(
    folder: Path, *words: str, **variables: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """With a loopback Telegram server, once all parts are healthy."""
    async with TelegramServer() as server:
        where = {"TELEGRAM_TOKEN": TOKEN, "MATINEE_TELEGRAM_API": server.url, **variables}
        async with matinee_process(folder, *words, **where) as process:
            await wait_until(lambda: is_healthy(folder) or None, TIMEOUT)
            yield process


def problem_states(folder: Path) -> dict[str, HealthState]:
    found = health.find_problems(Heartbeat.read(folder), monotonic_now=time.monotonic())
    return {one.part: one.life for one in found}


def is_healthy(folder: Path) -> bool:
    return not problem_states(folder)


def part_has_state(folder: Path, part: str, state: HealthState) -> Callable[[], bool | None]:
    return lambda: problem_states(folder).get(part) is state or None


async def run_health_command(folder: Path, *words: str) -> tuple[int | None, str]:
    """Run it at once, since the state that it reports may pass."""
    environment = os.environ | {"MATINEE_STUDIO_DATA": str(folder)}
    with tempfile.TemporaryFile() as output:
        spawn = partial(fork_server().spawn, "bot", "health", *words, folder=folder, environment=environment)
        process = await asyncio.to_thread(spawn, out=output.fileno(), err=output.fileno())
        code = await asyncio.wait_for(process.wait(), TIMEOUT)
        output.seek(0)
        return code, output.read().decode()


def engine_of(pid: int) -> int:
    children = psutil.Process(pid).children()
    return next(child.pid for child in children if "generation" in child.cmdline())


def received_notifications(notify_socket: socket.socket) -> list[str]:
    output = []
    while True:
        try:
            output.append(notify_socket.recv(100).decode())
        except BlockingIOError:
            return output


@pytest.mark.timeout(300)  # it waits twice for a heartbeat of 15 seconds
async def test_a_stopped_engine_and_bot_are_reported_and_recover(tmp_path: Path) -> None:
    notify_socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify_socket.bind(str(tmp_path / "notify"))
    notify_socket.setblocking(False)
    with closing(notify_socket):
        async with healthy_matinee(tmp_path, *RUN, NOTIFY_SOCKET=str(tmp_path / "notify")) as bot:
            code, output = await run_health_command(tmp_path)
            assert (code, "All parts are healthy: engine, worker, delivery, telegram" in output) == (0, True)
            assert received_notifications(notify_socket)[:2] == ["WATCHDOG=1", "READY=1"]

            engine = engine_of(bot.pid)
            os.kill(engine, signal.SIGSTOP)
            await wait_until(part_has_state(tmp_path, "engine", HealthState.STUCK), TIMEOUT)
            received_notifications(notify_socket)
            code, output = await run_health_command(tmp_path)
            assert (code, "Engine has not responded" in output, "since" in output) == (1, True, True)
            assert "WATCHDOG=1" not in received_notifications(notify_socket)
            await wait_until(lambda: is_healthy(tmp_path) or None, TIMEOUT)
            assert not psutil.pid_exists(engine)
            assert engine_of(bot.pid) != engine

            bot.send_signal(signal.SIGSTOP)
            await wait_until(part_has_state(tmp_path, "matinee", HealthState.STUCK), TIMEOUT)
            code, output = await run_health_command(tmp_path, "--json")
            facts: dict[str, Any] = json.loads(output)
            assert (code, facts["healthy"]) == (1, False)
            assert "has not responded since" in facts["ailments"][0]["message"]
            bot.send_signal(signal.SIGCONT)
            await wait_until(lambda: is_healthy(tmp_path) or None, TIMEOUT)

            received_notifications(notify_socket)
            bot.terminate()
            assert await asyncio.wait_for(bot.wait(), TIMEOUT) == 0
            assert "STOPPING=1" in received_notifications(notify_socket)
    code, output = await run_health_command(tmp_path)
    assert (code, output) == (1, f"Matinee is not running on {tmp_path}.\n")


async def test_a_killed_engine_and_chat_are_reported_and_restarted(tmp_path: Path) -> None:
    def kill_chat() -> bool | None:
        """Kill it again if it was back before the check: each time it stays away for longer."""
        bot.send_signal(signal.SIGUSR1)
        return part_has_state(tmp_path, "telegram", HealthState.DEAD)()

    async with healthy_matinee(tmp_path, "-m", "tests.bot.maintenance.killable_chat", str(tmp_path)) as bot:
        await wait_until(kill_chat, TIMEOUT)
        await wait_until(lambda: is_healthy(tmp_path) or None, TIMEOUT)
        os.kill(engine_of(bot.pid), signal.SIGKILL)
        await wait_until(part_has_state(tmp_path, "engine", HealthState.DEAD), TIMEOUT)
        await wait_until(lambda: is_healthy(tmp_path) or None, TIMEOUT)


async def test_a_refused_token_exits_with_a_message_and_code(tmp_path: Path) -> None:
    async with TelegramServer(token="1:another") as server:  # noqa: S106  (not a real token)
        where = {"TELEGRAM_TOKEN": TOKEN, "MATINEE_TELEGRAM_API": server.url}
        async with matinee_process(tmp_path, *RUN, **where) as bot:
            _, output = await asyncio.wait_for(bot.communicate(), TIMEOUT)
    assert bot.returncode == 3
    assert "no chat left to serve: telegram" in output.decode()
    assert "Traceback" not in output.decode()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', '{"parts": {"engine": {"life": "odd"}}}'])
async def test_an_invalid_heartbeat_file_reads_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "pulse.json").write_text(text)
    assert Heartbeat.read(tmp_path) is None
    assert (await run_health_command(tmp_path))[0] == 1
