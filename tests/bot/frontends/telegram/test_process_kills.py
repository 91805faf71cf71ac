"""The process is killed between any two steps: each clip is sent once, or its job is marked uncertain."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.domain.jobs import JobState
from bot.store.store import Access, Store
from tests.fakes.telegram_methods import Call
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.telegram_users import TelegramUser
from tests.fakes.telegram_world import Message
from tests.fork_server import ForkedProcess, fork_server
from tests.paths import ROOT

pytestmark = pytest.mark.slow


@dataclass
class StudioProcess:
    """The application in its own process, and its output: one log event per line."""

    process: ForkedProcess
    output: asyncio.StreamReader

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def studio_process(folder: Path, server: TelegramServer, *modes: str) -> AsyncIterator[StudioProcess]:
    arguments = ("tests.fakes.telegram_child", str(folder), server.url, server.token, *modes)
    read_end, write_end = os.pipe()
    try:
        process = fork_server().spawn(*arguments, folder=ROOT, environment=os.environ, out=write_end, err=2)
    finally:
        os.close(write_end)
    output = asyncio.StreamReader()
    pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(output), os.fdopen(read_end, "rb")
    )
    child = StudioProcess(process, output)
    try:
        yield child
    finally:
        await child.kill()
        pipe.close()


async def kill_at_line(child: StudioProcess, line: str) -> None:
    async for output_line in child.output:
        if output_line.decode().strip() == line:
            break
    await child.kill()


async def kill_at_call(
    child: StudioProcess, server: TelegramServer, methods: set[str], *, performed: bool
) -> None:
    async def observe(call: Call, is_done: bool, /) -> None:  # noqa: FBT001  (the signature of CallObserver)
        if call.method in methods and is_done is performed:
            await child.kill()

    server.observe_call = observe
    await child.process.wait()


LOG_POINTS = ["queued", "rendering", "rendered", "delivered"]
CALL_POINTS = {
    "reply": {"sendMessage"},
    "clip": {"editMessageMedia", "sendVideo"},
    "cleanup": {"deleteMessage"},
}


@pytest.mark.parametrize("point", [*LOG_POINTS, "before reply", "after reply", "before clip", "after clip"])
async def test_no_clip_is_sent_twice_and_uncertain_ones_are_marked(
    server: TelegramServer, ada: TelegramUser, tmp_path: Path, point: str
) -> None:
    await kill_and_check(server, ada, tmp_path, point)


@pytest.mark.parametrize("point", ["after clip", "before cleanup", "after cleanup"])
async def test_no_clip_is_sent_twice_as_a_new_message(
    server: TelegramServer, ada: TelegramUser, tmp_path: Path, point: str
) -> None:
    await kill_and_check(server, ada, tmp_path, point, "late")


@pytest.mark.parametrize("point", ["queued", "after clip"])
async def test_no_clip_is_sent_twice_behind_a_webhook(
    server: TelegramServer, ada: TelegramUser, tmp_path: Path, point: str
) -> None:
    await kill_and_check(server, ada, tmp_path, point, "webhook", str(free_port()))


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


async def kill_and_check(
    server: TelegramServer, ada: TelegramUser, tmp_path: Path, point: str, *modes: str
) -> None:
    async with studio_process(tmp_path, server, *modes) as first:
        await ada.writes("/video a fox")
        if point in LOG_POINTS:
            await kill_at_line(first, point)
        else:
            when, _, call = point.partition(" ")
            await kill_at_call(first, server, CALL_POINTS[call], performed=when == "after")
    async with studio_process(tmp_path, server, *modes):
        await server.wait_until(lambda: is_settled(ada), within=60)
        await ada.writes("/quota")
        await ada.hears("of 1000", within=60)
    store = await Store.open(tmp_path, Access.READER)
    jobs = await store.history(f"telegram:{ada.id}")
    await store.close()
    clips = [server.world.files[message.file_id] for message in ada.bot_messages() if message.kind == "video"]
    assert len(jobs) == 1
    assert len(clips) <= 1
    if jobs[0].state is JobState.UNCERTAIN:
        assert any(b["callback_data"] == "again:1" for message in ada.bot_messages() for b in message.buttons)
    else:
        assert clips == [b"job 1"]


def is_settled(ada: TelegramUser) -> bool:
    """Whether a clip was sent, or the user is asked whether it arrived."""
    sent = ada.bot_messages()
    return any(m.kind == "video" or any("again" in b["callback_data"] for b in m.buttons) for m in sent)


@pytest.mark.parametrize("call", ["answerPreCheckoutQuery", "refundStarPayment"])
async def test_payment_is_recorded_once_and_refunded_once(
    server: TelegramServer, ada: TelegramUser, tmp_path: Path, call: str
) -> None:
    """Kill the process after Telegram performed the call but before the answer; the user repeats the step."""
    async with studio_process(tmp_path, server) as first:
        invoice = await invoice_for(ada)
        if call == "answerPreCheckoutQuery":
            paying = asyncio.create_task(ada.pays(invoice))
        else:
            await ada.pays(invoice)
            await ada.hears("credits are yours")
            await ada.writes("/paysupport")
            await ada.presses(await ada.hears("do not expire. Here"), "Refund Stars")
        await kill_at_call(first, server, {call}, performed=True)
    async with studio_process(tmp_path, server):
        if call == "answerPreCheckoutQuery":
            await paying
            await ada.hears("credits are yours")
        else:
            await ada.hears("on their way back")
        await ada.writes("/quota")
        await ada.hears("1050 credits left" if call == "answerPreCheckoutQuery" else "1000 of 1000")
    assert len(server.world.refunded) == (0 if call == "answerPreCheckoutQuery" else 1)


async def invoice_for(ada: TelegramUser) -> Message:
    await ada.writes("/buy")
    await ada.answer_to(await ada.presses(await ada.hears("How many credits"), "50 credits"))
    return await ada.receives("invoice")
