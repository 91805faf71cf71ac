"""Whatever a stranger sends to the webhook is answered with a status and leaves no traceback."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture

from bot.frontends.telegram.frontend import Options
from bot.frontends.telegram.updates import Webhook
from tests.fakes.telegram_app import TelegramApp, running_app
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.telegram_users import TelegramUser

SECRET = "s" * 24
RIGHT = SECRET.encode()
FORBIDDEN, REFUSED, TOO_LARGE = 403, 400, 413
ADA = {"id": 5, "is_bot": False, "first_name": "Ada"}
PRIVATE = {"id": 5, "type": "private"}


def local_webhook() -> Webhook:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    return Webhook(url=f"http://127.0.0.1:{port}/telegram", secret=SECRET, port=port)


async def post(hook: Webhook, secret: bytes, body: bytes, *headers: bytes) -> int:
    """The status of the answer to one request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", hook.port)
    head = [
        b"POST /telegram HTTP/1.1",
        b"Host: matinee",
        b"Connection: close",
        b"X-Telegram-Bot-Api-Secret-Token: " + secret,
        b"Content-Length: %d" % len(body),
        *headers,
    ]
    writer.write(b"\r\n".join(head) + b"\r\n\r\n" + body)
    try:
        line = await reader.readline()
    finally:
        writer.close()
    return int(line.split()[1])


def update(**content: Any) -> bytes:
    return json.dumps({"update_id": 7, **content}).encode()


def message(**content: Any) -> bytes:
    return update(message={"message_id": 1, "date": 1, "chat": PRIVATE, "from": ADA, **content})


BODIES = {
    "no text": b"\xff\xfe\xfa",
    "no JSON": b"no",
    "a number": b"7",
    "a list": b"[1]",
    "no id": b"{}",
    "deep": b"[" * 100_000,
    "long number": b'{"update_id": ' + b"9" * 10_000 + b"}",
    "lone surrogate": b'{"update_id": 7, "message": {"text": "\\ud800"}}',
    "text is a number": message(text=5),
    "chat is a text": message(chat="me"),
    "date beyond all calendars": message(date=2**60),
    "message is a list": update(message=[]),
    "entities are a number": message(text="/help", entities=5),
    "sender is a list": update(callback_query={"id": "1", "from": [], "data": "x"}),
    "query without a sender": update(inline_query={"id": "1", "query": "", "offset": ""}),
    "buttons are a number": message(reply_markup={"inline_keyboard": 5}),
}


async def test_odd_requests_get_a_status_and_no_traceback(
    server: TelegramServer, ada: TelegramUser, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hook = local_webhook()
    async with running_app(tmp_path, Options(token=server.token, api_url=server.url, webhook=hook)):
        await server.wait_until(lambda: server.webhook)
        logs = LogCapture()
        structlog.configure(processors=[logs])
        half = await post(hook, RIGHT, b"{", b"Transfer-Encoding: chunked")
        assert half == REFUSED
        answers = {
            "header of odd bytes": (await post(hook, b"\xff\xfe\x80", b"{}"), FORBIDDEN),
            "right header and odd bytes": (await post(hook, RIGHT + b"\xff", b"{}"), FORBIDDEN),
            "unknown charset": (
                await post(hook, RIGHT, b"{}", b"Content-Type: text/plain; charset=nothing"),
                REFUSED,
            ),
            "broken compression": (
                await post(hook, RIGHT, b"\x1f\x8bno", b"Content-Encoding: gzip"),
                REFUSED,
            ),
            "too large": (await post(hook, RIGHT, b" " * (2**20 + 1)), TOO_LARGE),
            **{name: (await post(hook, RIGHT, body), REFUSED) for name, body in BODIES.items()},
        }
        assert {name: status for name, (status, _) in answers.items()} == {
            name: expected for name, (_, expected) in answers.items()
        }
        assert [record for record in caplog.records if record.levelname in {"ERROR", "CRITICAL"}] == []
        assert [entry for entry in logs.entries if entry["log_level"] in {"error", "critical"}] == []
        await ada.writes("/queue")
        await ada.hears("The queue is empty")


@pytest.mark.parametrize("name", ["text", "caption", "sticker"])
async def test_updates_of_every_kind_are_still_read(
    server: TelegramServer, ada: TelegramUser, tmp_path: Path, name: str
) -> None:
    """The check must not refuse what Telegram really sends."""
    hook = local_webhook()
    async with running_app(tmp_path, Options(token=server.token, api_url=server.url, webhook=hook)):
        await server.wait_until(lambda: server.webhook)
        match name:
            case "caption":
                await ada.writes("/animate it moves", photo=b"no picture")
                await ada.hears("The photo")
            case "sticker":
                await ada.writes("", sticker=b"no picture")
                await ada.hears("choose music")
            case _:
                await ada.writes("/queue")
                await ada.hears("The queue is empty")


async def test_a_sender_who_hangs_up_and_an_answer_that_comes_too_late_leave_no_traceback(
    server: TelegramServer, ada: TelegramUser, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hook = local_webhook()
    options = Options(token=server.token, api_url=server.url, webhook=hook, stars_per_credit=1)
    async with running_app(tmp_path, options):
        await server.wait_until(lambda: server.webhook)
        logs = LogCapture()
        structlog.configure(processors=[logs])
        _, writer = await asyncio.open_connection("127.0.0.1", hook.port)
        head = b"POST /telegram HTTP/1.1\r\nHost: a\r\nX-Telegram-Bot-Api-Secret-Token: %b\r\n" % RIGHT
        writer.write(head + b"Content-Length: 100\r\n\r\n{")
        writer.close()
        terms = {"currency": "XTR", "total_amount": 10, "invoice_payload": "credits:10"}
        checkout = {"id": "gone", "from": ada.person.to_json(), **terms}
        assert await post(hook, RIGHT, update(pre_checkout_query=checkout)) == 200
        await ada.writes("/queue")
        await ada.hears("The queue is empty")
    assert [entry for entry in logs.entries if entry["log_level"] in {"error", "critical"}] == []
    assert [record for record in caplog.records if record.levelname in {"ERROR", "CRITICAL"}] == []


async def test_an_offset_of_any_length_is_answered(app: TelegramApp, ada: TelegramUser) -> None:
    assert app.telegram.ready.is_set()
    assert await ada.searches_inline("fox", offset="9" * 5000) == []
    assert await ada.searches_inline("fox", offset="²") == []
