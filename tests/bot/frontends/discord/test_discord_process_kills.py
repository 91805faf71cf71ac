"""The bot as a separate process, killed with SIGKILL at several steps, with both stream compressions."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.fakes.discord_app import messages_with_clip, wait_for_clip_message
from tests.fakes.discord_server import DiscordServer, save_authority
from tests.fakes.discord_users import Person, Reply, text_of
from tests.fork_server import ForkedProcess, fork_server
from tests.paths import ROOT

pytestmark = pytest.mark.slow

APP_MODULE = "tests.fakes.discord_app"


class BotProcess:
    """A bot that can be killed and started again on the same data."""

    def __init__(self, server: DiscordServer, folder: Path, *options: str) -> None:
        self._server = server
        authority = str(save_authority(server, folder))
        self._arguments = (str(server.port), authority, server.token, str(folder / "data"), *options)
        self._process: asyncio.subprocess.Process | ForkedProcess | None = None

    async def start(self) -> None:
        before = self._server.gateway.identifies
        self._process = (
            await self._start_subprocess() if "--zlib" in self._arguments else self._start_forked()
        )
        gateway = self._server.gateway
        await self._server.world.wait_until(
            lambda: gateway.identifies > before and gateway.connected_sessions, within=60
        )

    async def _start_subprocess(self) -> asyncio.subprocess.Process:
        """Start a new interpreter, as discord.py chooses the compression when it is imported."""
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", APP_MODULE, *self._arguments, cwd=ROOT
        )

    def _start_forked(self) -> ForkedProcess:
        return fork_server().spawn(
            APP_MODULE, *self._arguments, folder=ROOT, environment=os.environ, out=1, err=2
        )

    async def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        await self._process.wait()
        await self._server.world.wait_until(lambda: not self._server.gateway.connected_sessions)


@asynccontextmanager
async def running_bot(server: DiscordServer, folder: Path, *options: str) -> AsyncIterator[BotProcess]:
    running = BotProcess(server, folder, *options)
    await running.start()
    try:
        yield running
    finally:
        await running.kill()


@pytest.mark.parametrize(("option", "compression"), [("--zlib", "zlib-stream"), (None, "zstd-stream")])
async def test_the_whole_flow_works_with_both_compressions(
    server: DiscordServer, ana: Person, tmp_path: Path, option: str | None, compression: str
) -> None:
    async with running_bot(server, tmp_path, *filter(None, [option])):
        reply = await ana.types("/video", prompt="a fox in the snow", genre="lofi")
        message = await wait_for_clip_message(server, 1)
        assert message is reply.interaction.original
        assert len(message.attachments[0].data) == 4096
        await ana.clicks(message, "Re-roll")
        assert (await wait_for_clip_message(server, 2)).attachments[0].data != message.attachments[0].data
    assert set(server.gateway.compressions) == {compression}


def job_saved(reply: Reply) -> bool:
    """Whether the job is stored: the answer then shows more than "thinking"."""
    return reply.interaction.original is not None and bool(reply.interaction.original.components)


def picture_in_progress(reply: Reply) -> bool:
    original = reply.interaction.original
    return original is not None and "Generating frames" in text_of(original)


def upload_refused(reply: Reply) -> bool:
    """Whether the clip was rendered and its first upload refused."""
    return any(fault.hits for fault in reply.server.faults)


def clip_shown(reply: Reply) -> bool:
    return bool(messages_with_clip(reply.server, 1))


@pytest.mark.parametrize(
    ("reached", "age"),
    [
        (job_saved, 0.0),
        (picture_in_progress, 15 * 60),
        (upload_refused, 0.0),
        (upload_refused, 15 * 60),
        (clip_shown, 0.0),
        (clip_shown, 15 * 60),
    ],
    ids=["saved", "rendering, by channel", "refused", "refused, by channel", "shown", "shown, by channel"],
)
async def test_a_bot_killed_at_any_step_delivers_every_clip_once(
    server: DiscordServer,
    ana: Person,
    tmp_path: Path,
    reached: Callable[[Reply], bool],
    age: float,
) -> None:
    if reached is upload_refused:
        server.add_fault("POST" if age else "PATCH", "/messages", status=503, uploads=True)
    async with running_bot(server, tmp_path, "--pause", "0.15") as running:
        reply = await ana.types("/video", prompt="survivor", age=age)
        await server.world.wait_until(lambda: reached(reply))
        await running.kill()
        await running.start()
        message = await wait_for_clip_message(server, 1)
        await ana.clicks(message, "Re-roll")
        again = await wait_for_clip_message(server, 2)
        opened = await ana.clicks(again, "Edit prompt")
        await opened.modal()
        await running.kill()
        await running.start()
        await ana.fills(opened, prompt="survivor, edited")
        assert "survivor, edited" in text_of(await wait_for_clip_message(server, 3))
    assert [len(messages_with_clip(server, number)) for number in (1, 2, 3)] == [1, 1, 1]
