"""Killed between any two steps, the studio shows every clip once, or marks the one it cannot know about."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.domain.jobs import State
from bot.store.store import Access, Store
from tests.fakes.telegram_methods import Call
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.telegram_users import Someone
from tests.fakes.telegram_world import Message
from tests.fork_server import Born, nursery
from tests.paths import ROOT


@dataclass
class Child:
    """A studio in a process of its own, and what it says: one word a line."""

    born: Born
    said: asyncio.StreamReader

    async def kill(self) -> None:
        self.born.kill()
        await self.born.wait()


@asynccontextmanager
async def studio(folder: Path, server: TelegramServer, *how: str) -> AsyncIterator[Child]:
    words = ("tests.fakes.telegram_child", str(folder), server.url, server.token, *how)
    hears, tells = os.pipe()
    try:
        born = nursery().bear(*words, folder=ROOT, environment=os.environ, out=tells, err=2)
    finally:
        os.close(tells)
    said = asyncio.StreamReader()
    pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(said), os.fdopen(hears, "rb")
    )
    child = Child(born, said)
    try:
        yield child
    finally:
        await child.kill()
        pipe.close()


async def kill_at_line(child: Child, line: str) -> None:
    async for said in child.said:
        if said.decode().strip() == line:
            break
    await child.kill()


async def kill_at_call(child: Child, server: TelegramServer, methods: set[str], *, done: bool) -> None:
    async def witness(call: Call, is_done: bool, /) -> None:  # noqa: FBT001  (the shape of a Witness)
        if call.method in methods and is_done is done:
            await child.kill()

    server.witness = witness
    await child.born.wait()


POINTS = ["queued", "rendering", "rendered", "delivered"]
CALLS = {
    "answer": {"sendMessage"},
    "clip": {"editMessageMedia", "sendVideo"},
    "tidying": {"deleteMessage"},
}


@pytest.mark.parametrize("point", [*POINTS, "answer comes", "answer is there", "clip comes", "clip is there"])
async def test_no_clip_twice_and_no_doubtful_one_unmarked(
    server: TelegramServer, ada: Someone, tmp_path: Path, point: str
) -> None:
    await kill_and_look(server, ada, tmp_path, point)


@pytest.mark.parametrize("point", ["clip is there", "tidying comes", "tidying is there"])
async def test_the_same_where_the_clip_is_a_message_of_its_own(
    server: TelegramServer, ada: Someone, tmp_path: Path, point: str
) -> None:
    await kill_and_look(server, ada, tmp_path, point, "late")


@pytest.mark.parametrize("point", ["queued", "clip is there"])
async def test_the_same_behind_a_webhook(
    server: TelegramServer, ada: Someone, tmp_path: Path, point: str
) -> None:
    await kill_and_look(server, ada, tmp_path, point, "webhook", str(free_port()))


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


async def kill_and_look(server: TelegramServer, ada: Someone, tmp_path: Path, point: str, *how: str) -> None:
    async with studio(tmp_path, server, *how) as first:
        await ada.writes("/video a fox")
        if point in POINTS:
            await kill_at_line(first, point)
        else:
            what, _, when = point.partition(" ")
            await kill_at_call(first, server, CALLS[what], done=when == "is there")
    async with studio(tmp_path, server, *how):
        await server.until(lambda: settled(ada), within=60)
        await ada.writes("/quota")
        await ada.hears("of 1000", within=60)
    store = await Store.open(tmp_path, Access.READER)
    jobs = await store.history(f"telegram:{ada.id}")
    await store.close()
    clips = [server.world.files[message.file_id] for message in ada.heard() if message.kind == "video"]
    assert len(jobs) == 1
    assert len(clips) <= 1
    if jobs[0].state is State.UNCERTAIN:
        assert any(b["callback_data"] == "again:1" for message in ada.heard() for b in message.buttons)
    else:
        assert clips == [b"job 1"]


def settled(ada: Someone) -> bool:
    """A clip was shown, or a person is asked whether it was."""
    told = ada.heard()
    return any(m.kind == "video" or any("again" in b["callback_data"] for b in m.buttons) for m in told)


@pytest.mark.parametrize("call", ["answerPreCheckoutQuery", "refundStarPayment"])
async def test_payment_is_booked_once_and_goes_back_once(
    server: TelegramServer, ada: Someone, tmp_path: Path, call: str
) -> None:
    """Killed when Telegram has done its part but we have not heard of it; asked again afterwards."""
    async with studio(tmp_path, server) as first:
        invoice = await invoice_for(ada)
        if call == "answerPreCheckoutQuery":
            paying = asyncio.create_task(ada.pays(invoice))
        else:
            await ada.pays(invoice)
            await ada.hears("credits are yours")
            await ada.writes("/paysupport")
            await ada.presses(await ada.hears("do not expire. A pack"), "Stars back")
        await kill_at_call(first, server, {call}, done=True)
    async with studio(tmp_path, server):
        if call == "answerPreCheckoutQuery":
            await paying
            await ada.hears("credits are yours")
        else:
            await ada.hears("on their way back")
        await ada.writes("/quota")
        await ada.hears("1050 credits left" if call == "answerPreCheckoutQuery" else "1000 of 1000")
    assert len(server.world.refunded) == (0 if call == "answerPreCheckoutQuery" else 1)


async def invoice_for(ada: Someone) -> Message:
    await ada.writes("/buy")
    await ada.answer_to(await ada.presses(await ada.hears("How many credits"), "50 credits"))
    return await ada.receives("invoice")
