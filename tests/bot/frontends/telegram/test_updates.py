"""Updates come in by either door, whatever the network does; a stop leaves nothing to be told twice."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import aiohttp
import pytest
from PIL import Image

from bot.domain.jobs import State
from bot.frontends.telegram.frontend import LOCAL_LIMIT, Options, Telegram
from bot.frontends.telegram.updates import Webhook
from tests.fakes.telegram_app import Cinema, cinema
from tests.fakes.telegram_faults import flood, refused, reset
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.telegram_users import Someone

SECRET = "s" * 24


def webhook() -> Webhook:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    return Webhook(address=f"http://127.0.0.1:{port}/telegram", secret=SECRET, port=port)


@pytest.mark.parametrize("door", ["polling", "webhook"])
async def test_the_door_opens_however_often_telegram_refuses_at_first(
    server: TelegramServer, ada: Someone, tmp_path: Path, door: str
) -> None:
    hook = webhook() if door == "webhook" else None
    method = "setWebhook" if hook else "deleteWebhook"
    server.fail("getMe", refused(502, "Bad Gateway"))
    server.fail(method, refused(500, "Internal Server Error"), reset(done=False))
    server.fail("setMyCommands", *[flood(1)] * 3)
    async with cinema(tmp_path, Options(token=server.token, api=server.url, webhook=hook)):
        await server.until(lambda: len(server.called(method)) == 3)
        await ada.writes("/queue")
        await ada.hears("Nobody is waiting")


async def test_a_stop_confirms_what_was_handled(server: TelegramServer, ada: Someone, tmp_path: Path) -> None:
    options = Options(token=server.token, api=server.url)
    async with cinema(tmp_path, options):
        await ada.writes("/queue")
        await ada.hears("Nobody is waiting")
    async with cinema(tmp_path, options):
        await ada.writes("/history")
        await ada.hears("no clips yet")
    assert len(ada.heard()) == 2


async def test_older_poll_yields_and_comes_back(server: TelegramServer, ada: Someone, house: Cinema) -> None:
    await server.until(lambda: server.polls)
    async with aiohttp.ClientSession() as rival:
        url = f"{server.url}/bot{server.token}/getUpdates"
        async with rival.post(url, json={"timeout": 0}) as answer:
            assert (await answer.json())["ok"]
    await ada.writes("/queue")
    await ada.hears("Nobody is waiting")
    assert house.telegram.ready.is_set()


async def test_wrong_token_ends_only_this_chat(server: TelegramServer, house: Cinema) -> None:
    stranger = Telegram(house.studio, Options(token=server.token + "x", api=server.url))
    async with asyncio.timeout(20):
        await stranger.run()
    assert not stranger.ready.is_set()
    assert house.telegram.ready.is_set()


async def test_webhook_tells_telegram_its_secret_and_what_it_wants(
    server: TelegramServer, ada: Someone, tmp_path: Path
) -> None:
    hook = webhook()
    async with cinema(tmp_path, Options(token=server.token, api=server.url, webhook=hook)):
        told = await server.until(lambda: server.webhook)
        assert told["secret_token"] == SECRET
        assert "edited_message" not in told["allowed_updates"]
        async with aiohttp.ClientSession() as client:
            for secret, body, status in (("", b"{}", 403), ("x" * 24, b"{}", 403), (SECRET, b"no", 400)):
                headers = {"X-Telegram-Bot-Api-Secret-Token": secret}
                async with client.post(hook.address, data=body, headers=headers) as answer:
                    assert answer.status == status
        await ada.writes("/queue")
        await ada.hears("Nobody is waiting")


async def test_server_of_ones_own_takes_and_gives_files_by_path(
    server: TelegramServer, ada: Someone, tmp_path: Path
) -> None:
    shared = tmp_path / "a shared folder"
    shared.mkdir()
    server.world.disk = shared
    options = Options(token=server.token, api=server.url, local=True)
    async with cinema(tmp_path / "data", options) as house:
        picture = tmp_path / "fox.jpg"
        Image.new("RGB", (40, 30), "orange").save(picture)
        await ada.writes("/animate it wakes up", photo=picture.read_bytes())
        clip = await ada.receives("video")
        await house.telegram.until_delivered(1)
        job = await house.studio.job(1)
        assert job.state is State.DELIVERED
        assert job.reply_to.limit == LOCAL_LIMIT > 1_900_000_000
        assert server.world.files[clip.file_id] == b"job 1"
        (sent,) = server.called("editMessageMedia")
        assert sent.files == {}
        assert sent.parameters["media"]["media"].startswith("file:///")
        house.telegram.late()
        await ada.writes("/video a fox")
        await house.telegram.until_delivered(2)
        (sent,) = server.called("sendVideo")
        assert sent.files == {}
        assert sent.parameters["video"].startswith("file:///")


async def test_no_connection_is_tried_again_and_nobody_notices(
    ada: Someone, tmp_path: Path, server: TelegramServer
) -> None:
    """The address is known, but nobody listens there when the clip is ready; later somebody does."""
    async with cinema(tmp_path, Options(token=server.token, api=server.url)) as house:
        house.engine.gate.clear()
        await ada.writes("/video a fox")
        await ada.hears("Clip #1")
        await server.hang_up()
        house.engine.gate.set()
        await house.rendered(1)
        await server.listen_again()
        await ada.receives("video")
        await house.telegram.until_delivered(1)
        assert (await house.studio.job(1)).state is State.DELIVERED
    assert [message.kind for message in ada.heard()] == ["video"]
