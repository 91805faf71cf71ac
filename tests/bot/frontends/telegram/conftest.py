"""Fixtures: a loopback Bot API, a user, the real client and the whole application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from telegram.ext import ExtBot

from bot.frontends.telegram.frontend import Options
from bot.frontends.telegram.transport import AiohttpRequest
from tests.fakes.telegram_app import TelegramApp, running_app
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.telegram_users import TelegramUser


@pytest.fixture
async def server() -> AsyncIterator[TelegramServer]:
    async with TelegramServer() as server:
        yield server


@pytest.fixture
def ada(server: TelegramServer) -> TelegramUser:
    return TelegramUser(server, "Ada", username="ada")


@pytest.fixture
async def client(server: TelegramServer) -> AsyncIterator[ExtBot[None]]:
    """The library's client over Matinee's transport. It does not wait when it is rate limited."""
    bot: ExtBot[None] = ExtBot(
        token=server.token,
        base_url=f"{server.url}/bot",
        base_file_url=f"{server.url}/file/bot",
        request=AiohttpRequest(read_timeout=10),
        get_updates_request=AiohttpRequest(read_timeout=10),
    )
    async with bot:
        yield bot


@pytest.fixture
async def app(server: TelegramServer, tmp_path: Path) -> AsyncIterator[TelegramApp]:
    """The whole application, polling the loopback server."""
    async with running_app(tmp_path, Options(token=server.token, api_url=server.url)) as app:
        yield app
