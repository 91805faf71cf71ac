"""Telegram's errors become delivery errors, and the token appears in no error and no log."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING

import pytest
from telegram.error import TelegramError

from bot.frontends.telegram import send_errors
from bot.frontends.telegram.keyboards import genre_keyboard
from bot.frontends.telegram.message_context import nearest_language
from bot.pipeline.delivery import MaybeSent, Rejected, SendError, TooLarge, Unreachable
from bot.runtime import logs
from tests.fakes.telegram_app import genres
from tests.fakes.telegram_faults import Fault, api_error, connection_reset, flood_error, html_error, no_answer
from tests.fakes.telegram_server import TOKEN, TelegramServer
from tests.fakes.telegram_users import TelegramUser

if TYPE_CHECKING:
    from telegram.ext import ExtBot


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (flood_error(7), send_errors.FloodWait),
        (api_error(403, "Forbidden: bot was blocked by the user"), Rejected),
        (api_error(400, "Bad Request: not enough rights to send videos to the chat"), Rejected),
        (api_error(500, "Internal Server Error"), Unreachable),
        (api_error(413, "Request Entity Too Large"), TooLarge),
        (html_error(413), TooLarge),
        (html_error(502), MaybeSent),
        (html_error(504, performed=True), MaybeSent),
        (no_answer(performed=True), MaybeSent),
        (connection_reset(performed=False), MaybeSent),
    ],
)
async def test_each_failure_maps_to_a_send_error(
    server: TelegramServer, client: ExtBot[None], ada: TelegramUser, fault: Fault, expected: type[SendError]
) -> None:
    server.fail_next("sendVideo", fault)
    answered = fault.status is not None or fault.resets_connection
    with pytest.raises(TelegramError) as caught:
        await client.send_video(ada.id, b"film", read_timeout=10 if answered else 0.3)
    error = send_errors.send_error(caught.value)
    assert type(error) is expected
    assert server.token not in str(error)


async def test_token_is_redacted_in_logs_and_tracebacks(
    server: TelegramServer, client: ExtBot[None], ada: TelegramUser
) -> None:
    log_output = io.StringIO()
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    logs.configure_logging(
        level="debug", style="json", prompts=True, secrets=[server.token], stream=log_output
    )
    for logger_name in ("telegram", "httpx"):
        logging.getLogger(logger_name).setLevel(logging.DEBUG)
    try:
        server.fail_next("sendVideo", html_error(502), no_answer(performed=True))
        for _ in range(2):
            try:
                await client.send_video(ada.id, b"film", read_timeout=0.2)
            except TelegramError:
                logging.getLogger("telegram").exception("failed at %s/bot%s/x", server.url, server.token)
    finally:
        root.handlers = before
        root.setLevel(level)
    assert "failed at" in log_output.getvalue()
    assert TOKEN not in log_output.getvalue()
    assert TOKEN.partition(":")[2] not in log_output.getvalue()


def test_every_genre_button_fits_telegrams_limit() -> None:
    keyboard = genre_keyboard(10**17, genres(), "en")
    data = [button.callback_data for row in keyboard.inline_keyboard for button in row]
    assert len(data) == len(genres()) + 1
    assert all(isinstance(text, str) and len(text.encode()) <= 64 for text in data)


def test_nearest_supported_language_is_chosen() -> None:
    assert [nearest_language(code) for code in ("en-US", None, "tlh", "EN")] == ["en"] * 4
