"""The transport's errors say whether the server may have acted on a call, and so whether to repeat it."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
from telegram import InputFile
from telegram.error import NetworkError
from telegram.ext import ExtBot

from bot.frontends.telegram.transport import AiohttpRequest, NeverAnswered, NeverSent
from tests.fakes.telegram_faults import connection_reset, no_answer
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.telegram_users import TelegramUser


async def test_refused_connection_counts_as_unsent() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    bot: ExtBot[None] = ExtBot("7:x", base_url=f"http://127.0.0.1:{port}/bot", request=AiohttpRequest())
    with pytest.raises(NeverSent):
        await bot.initialize()
    await bot.shutdown()


async def test_full_pool_counts_as_unsent(server: TelegramServer, ada: TelegramUser) -> None:
    single_connection = AiohttpRequest(connections=1, read_timeout=10)
    bot: ExtBot[None] = ExtBot(server.token, base_url=server.url + "/bot", request=single_connection)
    async with bot:
        server.fail_next("sendMessage", no_answer(performed=True))
        first = asyncio.create_task(bot.send_message(ada.id, "one"))
        await ada.hears("one")
        with pytest.raises(NeverSent):
            await bot.send_message(ada.id, "two", connect_timeout=0.2)
        first.cancel()
    assert [message.text for message in ada.bot_messages()] == ["one"]


@pytest.mark.parametrize("performed", [True, False])
async def test_no_answer_after_sending_counts_as_maybe_sent(
    server: TelegramServer, client: ExtBot[None], ada: TelegramUser, *, performed: bool
) -> None:
    server.fail_next("sendVideo", no_answer(performed=performed), connection_reset(performed=performed))
    for _ in range(2):
        with pytest.raises(NeverAnswered):
            await client.send_video(ada.id, b"film", read_timeout=0.2)
    assert len(ada.bot_messages()) == (2 if performed else 0)


async def test_file_handle_is_streamed_and_arrives_whole(
    server: TelegramServer, client: ExtBot[None], ada: TelegramUser, tmp_path: Path
) -> None:
    film = tmp_path / "a.mp4"
    film.write_bytes(bytes(range(256)) * 4096)
    with film.open("rb") as handle:
        await client.send_video(ada.id, InputFile(handle, filename="a.mp4", read_file_handle=False))
    assert server.world.files[ada.bot_messages()[0].file_id] == film.read_bytes()


async def test_closed_transport_raises(client: ExtBot[None], ada: TelegramUser) -> None:
    await client.shutdown()
    with pytest.raises(NetworkError, match="not initialised"):
        await client.send_message(ada.id, "x")
