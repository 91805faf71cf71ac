"""The whole bot as a process of its own, killed with -9 at any step, in both stream compressions."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.fakes.discord_app import clip_of, with_clip
from tests.fakes.discord_server import DiscordServer, save_authority
from tests.fakes.discord_users import Person, Reply, text_of
from tests.fork_server import Born, nursery
from tests.paths import ROOT

HOUSE = "tests.fakes.discord_app"


class Bot:
    """A bot that can be killed and started again on the same data."""

    def __init__(self, server: DiscordServer, folder: Path, *options: str) -> None:
        self._server = server
        authority = str(save_authority(server, folder))
        self._words = (str(server.port), authority, server.token, str(folder / "data"), *options)
        self._process: asyncio.subprocess.Process | Born | None = None

    async def start(self) -> None:
        before = self._server.gateway.identifies
        self._process = await self._cold() if "--zlib" in self._words else self._forked()
        gateway = self._server.gateway
        await self._server.world.until(lambda: gateway.identifies > before and gateway.live, within=60)

    async def _cold(self) -> asyncio.subprocess.Process:
        """As the choice of compression is made at an import."""
        return await asyncio.create_subprocess_exec(sys.executable, "-m", HOUSE, *self._words, cwd=ROOT)

    def _forked(self) -> Born:
        return nursery().bear(HOUSE, *self._words, folder=ROOT, environment=os.environ, out=1, err=2)

    async def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        await self._process.wait()
        await self._server.world.until(lambda: not self._server.gateway.live)


@asynccontextmanager
async def bot(server: DiscordServer, folder: Path, *options: str) -> AsyncIterator[Bot]:
    running = Bot(server, folder, *options)
    await running.start()
    try:
        yield running
    finally:
        await running.kill()


@pytest.mark.parametrize(("option", "compression"), [("--zlib", "zlib-stream"), (None, "zstd-stream")])
async def test_the_whole_flow_in_both_compressions(
    server: DiscordServer, ana: Person, tmp_path: Path, option: str | None, compression: str
) -> None:
    async with bot(server, tmp_path, *filter(None, [option])):
        reply = await ana.types("/video", prompt="a fox in the snow", genre="lofi")
        message = await clip_of(server, 1)
        assert message is reply.interaction.original
        assert len(message.attachments[0].data) == 4096
        await ana.clicks(message, "Re-roll")
        assert (await clip_of(server, 2)).attachments[0].data != message.attachments[0].data
    assert set(server.gateway.compressions) == {compression}


def placed(reply: Reply) -> bool:
    """Its job is in the store: the answer is more than "thinking"."""
    return reply.interaction.original is not None and bool(reply.interaction.original.components)


def painting(reply: Reply) -> bool:
    original = reply.interaction.original
    return original is not None and "Painting" in text_of(original)


def refused(reply: Reply) -> bool:
    """It was made, and its first upload was turned away."""
    return any(fault.hit for fault in reply.server.faults)


def shown(reply: Reply) -> bool:
    return bool(with_clip(reply.server, 1))


@pytest.mark.parametrize(
    ("moment", "age"),
    [(placed, 0.0), (painting, 15 * 60), (refused, 0.0), (refused, 15 * 60), (shown, 0.0), (shown, 15 * 60)],
    ids=["placed", "painting, by channel", "refused", "refused, by channel", "shown", "shown, by channel"],
)
async def test_killed_between_any_two_steps_every_clip_comes_once(
    server: DiscordServer,
    ana: Person,
    tmp_path: Path,
    moment: Callable[[Reply], bool],
    age: float,
) -> None:
    if moment is refused:
        server.fail("POST" if age else "PATCH", "/messages", status=503, uploads=True)
    async with bot(server, tmp_path, "--pause", "0.15") as running:
        reply = await ana.types("/video", prompt="survivor", age=age)
        await server.world.until(lambda: moment(reply))
        await running.kill()
        await running.start()
        message = await clip_of(server, 1)
        await ana.clicks(message, "Re-roll")
        again = await clip_of(server, 2)
        opened = await ana.clicks(again, "Edit prompt")
        await opened.modal()
        await running.kill()
        await running.start()
        await ana.fills(opened, prompt="survivor, edited")
        assert "survivor, edited" in text_of(await clip_of(server, 3))
    assert [len(with_clip(server, number)) for number in (1, 2, 3)] == [1, 1, 1]
