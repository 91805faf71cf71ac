"""Updates by polling and by webhook, despite network errors; a shutdown confirms what was handled."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import aiohttp
import pytest
from PIL import Image

from bot.domain.jobs import JobState
from bot.frontends.telegram.frontend import LOCAL_UPLOAD_LIMIT, Options, Telegram
from bot.frontends.telegram.updates import Webhook
from tests.fakes.telegram_app import TelegramApp, running_app
from tests.fakes.telegram_faults import api_error, connection_reset, flood_error
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.telegram_users import TelegramUser

pytestmark = pytest.mark.slow

SECRET = "s" * 24


def local_webhook() -> Webhook:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    return Webhook(url=f"http://127.0.0.1:{port}/telegram", secret=SECRET, port=port)


@pytest.mark.parametrize("transport", ["polling", "webhook"])
async def test_startup_retries_until_telegram_accepts(
    server: TelegramServer, ada: TelegramUser, tmp_path: Path, transport: str
) -> None:
    hook = local_webhook() if transport == "webhook" else None
    method = "setWebhook" if hook else "deleteWebhook"
    server.fail_next("getMe", api_error(502, "Bad Gateway"))
    server.fail_next(method, api_error(500, "Internal Server Error"), connection_reset(performed=False))
    server.fail_next("setMyCommands", *[flood_error(1)] * 3)
    async with running_app(tmp_path, Options(token=server.token, api_url=server.url, webhook=hook)):
        await server.wait_until(lambda: len(server.calls_of(method)) == 3)
        await ada.writes("/queue")
        await ada.hears("The queue is empty")


async def test_stop_confirms_handled_updates(
    server: TelegramServer, ada: TelegramUser, tmp_path: Path
) -> None:
    options = Options(token=server.token, api_url=server.url)
    async with running_app(tmp_path, options):
        await ada.writes("/queue")
        await ada.hears("The queue is empty")
    async with running_app(tmp_path, options):
        await ada.writes("/history")
        await ada.hears("no clips yet")
    assert len(ada.bot_messages()) == 2


async def test_polling_resumes_after_a_conflict(
    server: TelegramServer, ada: TelegramUser, app: TelegramApp
) -> None:
    await server.wait_until(lambda: server.polls)
    async with aiohttp.ClientSession() as rival:
        url = f"{server.url}/bot{server.token}/getUpdates"
        async with rival.post(url, json={"timeout": 0}) as answer:
            assert (await answer.json())["ok"]
    await ada.writes("/queue")
    await ada.hears("The queue is empty")
    assert app.telegram.ready.is_set()


async def test_wrong_token_stops_only_this_frontend(server: TelegramServer, app: TelegramApp) -> None:
    misconfigured = Telegram(app.studio, Options(token=server.token + "x", api_url=server.url))
    async with asyncio.timeout(20):
        await misconfigured.run()
    assert not misconfigured.ready.is_set()
    assert app.telegram.ready.is_set()


async def test_webhook_registers_its_secret_and_update_types(
    server: TelegramServer, ada: TelegramUser, tmp_path: Path
) -> None:
    hook = local_webhook()
    async with running_app(tmp_path, Options(token=server.token, api_url=server.url, webhook=hook)):
        webhook = await server.wait_until(lambda: server.webhook)
        assert webhook["secret_token"] == SECRET
        assert "edited_message" not in webhook["allowed_updates"]
        async with aiohttp.ClientSession() as client:
            for secret, body, status in (("", b"{}", 403), ("x" * 24, b"{}", 403), (SECRET, b"no", 400)):
                headers = {"X-Telegram-Bot-Api-Secret-Token": secret}
                async with client.post(hook.url, data=body, headers=headers) as answer:
                    assert answer.status == status
        await ada.writes("/queue")
        await ada.hears("The queue is empty")


async def test_local_api_server_exchanges_files_by_path(
    server: TelegramServer, ada: TelegramUser, tmp_path: Path
) -> None:
    shared = tmp_path / "a shared folder"
    shared.mkdir()
    server.world.shared_folder = shared
    options = Options(token=server.token, api_url=server.url, local_server=True)
    async with running_app(tmp_path / "data", options) as app:
        picture = tmp_path / "fox.jpg"
        Image.new("RGB", (40, 30), "orange").save(picture)
        await ada.writes("/animate it wakes up", photo=picture.read_bytes())
        clip = await ada.receives("video")
        await app.telegram.until_delivered(1)
        job = await app.store.job(1)
        assert job.state is JobState.DELIVERED
        assert job.reply_to.limit == LOCAL_UPLOAD_LIMIT > 1_900_000_000
        assert server.world.files[clip.file_id] == b"job 1"
        (sent,) = server.calls_of("editMessageMedia")
        assert sent.files == {}
        assert sent.parameters["media"]["media"].startswith("file:///")
        app.telegram.deliver_as_new_message()
        await ada.writes("/video a fox")
        await app.telegram.until_delivered(2)
        (sent,) = server.calls_of("sendVideo")
        assert sent.files == {}
        assert sent.parameters["video"].startswith("file:///")


async def test_refused_connection_is_retried_without_a_message(
    ada: TelegramUser, tmp_path: Path, server: TelegramServer
) -> None:
    """The server accepts no connection when the clip is ready, and accepts one later."""
    async with running_app(tmp_path, Options(token=server.token, api_url=server.url)) as app:
        app.engine.unblocked.clear()
        await ada.writes("/video a fox")
        await ada.hears("Clip #1")
        await server.stop_listening()
        app.engine.unblocked.set()
        await app.wait_until_rendered(1)
        await server.resume_listening()
        await ada.receives("video")
        await app.telegram.until_delivered(1)
        assert (await app.store.job(1)).state is JobState.DELIVERED
    assert [message.kind for message in ada.bot_messages()] == ["video"]
