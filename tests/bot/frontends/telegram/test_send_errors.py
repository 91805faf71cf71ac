"""Each failure of a send is told apart: never sent, never to be sent, too large, or perhaps sent."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING

import pytest
from telegram.error import TelegramError

from bot.frontends.telegram import send_errors
from bot.frontends.telegram.keyboards import genre_wall
from bot.frontends.telegram.message_context import spoken
from bot.pipeline.delivery import Doubtful, Rejected, SendError, TooLarge, Unreachable
from bot.runtime import logs
from tests.fakes.telegram_app import genres
from tests.fakes.telegram_faults import Fault, flood, html, refused, reset, silence
from tests.fakes.telegram_server import TOKEN, TelegramServer
from tests.fakes.telegram_users import Someone

if TYPE_CHECKING:
    from telegram.ext import ExtBot


@pytest.mark.parametrize(
    ("fault", "meaning"),
    [
        (flood(7), send_errors.Flood),
        (refused(403, "Forbidden: bot was blocked by the user"), Rejected),
        (refused(400, "Bad Request: not enough rights to send videos to the chat"), Rejected),
        (refused(500, "Internal Server Error"), Unreachable),
        (refused(413, "Request Entity Too Large"), TooLarge),
        (html(413), TooLarge),
        (html(502), Doubtful),
        (html(504, done=True), Doubtful),
        (silence(done=True), Doubtful),
        (reset(done=False), Doubtful),
    ],
)
async def test_meaning_of_each_failure(
    server: TelegramServer, client: ExtBot[None], ada: Someone, fault: Fault, meaning: type[SendError]
) -> None:
    server.fail("sendVideo", fault)
    answered = fault.status is not None or fault.reset
    with pytest.raises(TelegramError) as caught:
        await client.send_video(ada.id, b"film", read_timeout=10 if answered else 0.3)
    told = send_errors.send_error(caught.value)
    assert type(told) is meaning
    assert server.token not in str(told)


async def test_token_stays_out_of_the_log_also_in_a_traceback(
    server: TelegramServer, client: ExtBot[None], ada: Someone
) -> None:
    page = io.StringIO()
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    logs.start(level="debug", style="json", prompts=True, secrets=[server.token], stream=page)
    for chatty in ("telegram", "httpx"):
        logging.getLogger(chatty).setLevel(logging.DEBUG)
    try:
        server.fail("sendVideo", html(502), silence(done=True))
        for _ in range(2):
            try:
                await client.send_video(ada.id, b"film", read_timeout=0.2)
            except TelegramError:
                logging.getLogger("telegram").exception("failed at %s/bot%s/x", server.url, server.token)
    finally:
        root.handlers = before
        root.setLevel(level)
    assert "failed at" in page.getvalue()
    assert TOKEN not in page.getvalue()
    assert TOKEN.partition(":")[2] not in page.getvalue()


def test_every_genre_has_a_button_that_telegram_takes() -> None:
    wall = genre_wall(10**17, genres(), "en")
    data = [button.callback_data for row in wall.inline_keyboard for button in row]
    assert len(data) == len(genres()) + 1
    assert all(isinstance(text, str) and len(text.encode()) <= 64 for text in data)


def test_language_is_the_nearest_that_is_spoken() -> None:
    assert [spoken(code) for code in ("en-US", None, "tlh", "EN")] == ["en"] * 4
