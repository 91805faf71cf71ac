"""What Telegram passes on from strangers: messages, buttons, inline searches; and requests to the webhook."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from telegram.error import TelegramError

from bot.frontends.telegram.frontend import Options
from bot.frontends.telegram.updates import Webhook, parse_update
from bot.pipeline.delivery import SendError
from tests.fakes.engine import FakeEngine
from tests.fakes.telegram_app import ObservedTelegram, running_app
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.telegram_world import Message
from tests.fuzz.target import Call, Target, from_json, to_bytes, to_json, to_text

SECRET = "s" * 24
MAX_TEXT, MAX_CALLBACK_BYTES, MAX_QUERY = 4096, 64, 256
"""What Telegram lets a client send."""
COMMANDS = (
    "/video a fox in the snow #lofi 8s 9:16 seed=7 --no-music",
    "/video a fox genre:lofi mood:calm",
    "/image a cat",
    "/animate it wakes up",
    "/music 1 jazz",
    "/music 1",
    "/recipe 1",
    "/cancel 1",
    "/report 1 it is rude",
    "/appeal no",
    "/history",
    "/queue",
    "/quota",
    "/models",
    "/settings",
    "/settings link ABCDEFGH",
    "/settings unlink",
    "/help",
    "/privacy delete",
    "/privacy export",
    "/privacy",
    "/start share",
    "/buy",
    "/paysupport",
    "/refund abc",
    "/admin stop",
    "/video forbidden thing",
    "a red rocket",
    "/vidoe a fox",
    "/video@matinee_bot a fox",
    "/edit",
    "/unknown",
)
CALLBACKS = (
    "reroll:1",
    "score:1:jazz",
    "score:1",
    "cancel:1",
    "extend:1",
    "bigger:1",
    "animate:1",
    "again:1",
    "edit:1",
    "recipe:1",
    "report:1",
    "delete:1",
    "set:5:genre=lofi",
    "set:0:language=de",
    "go:0:help",
    "go:0:example",
    "ask:0:lofi/8/9:16",
    "film:0://",
    "fix:0:lofo>lofi",
    "buy:0:10",
    "refund:1",
    "forget:5",
    "appeal:1",
    "release:1",
    "reject:1",
    "pardon:1",
    "unlink:5",
    "link:5:ABCDEFGH",
)
QUERIES = tuple(to_json(pair) for pair in (["fox", ""], ["", "20"], ["FOX in the snow", "0"]))


class FuzzedTelegram:
    """A running bot, and one user of its loopback server whose updates are fuzzed."""

    def __init__(self, server: TelegramServer, telegram: ObservedTelegram) -> None:
        self.server = server
        self.telegram = telegram
        self.server.world.private_flood_limit = (10**9, 1.0)
        self.user = server.world.add_person("Ada", username="ada")
        self.numbers = itertools.count(10_000)

    @property
    def chat(self) -> dict[str, Any]:
        return self.server.world.chats[self.user.id].to_json()

    def message(self, **content: Any) -> dict[str, Any]:
        return {
            "message_id": next(self.numbers),
            "date": 1_700_000_000,
            "chat": self.chat,
            "from": self.user.to_json(),
            **content,
        }

    async def handle(self, update: dict[str, Any]) -> None:
        await self.handle_body(to_bytes(json.dumps({"update_id": next(self.numbers), **update})))

    async def handle_body(self, body: bytes) -> None:
        """Handle an update as the webhook does. A send that Telegram refuses counts as an answer."""
        update = parse_update(body, self.telegram.bot)
        if update is not None:
            with suppress(TelegramError, SendError):
                await self.telegram.handle_update(update)
        self.forget_traffic()

    def forget_traffic(self) -> None:
        violations = list(self.server.spec_violations)
        self.server.spec_violations.clear()
        self.server.calls.clear()
        assert not violations, f"a call that Telegram does not know: {violations[0][:200]}"


@asynccontextmanager
async def fuzzed_telegram(folder: Path, *, webhook: Webhook | None = None) -> AsyncIterator[FuzzedTelegram]:
    async with TelegramServer() as server:
        options = Options(token=server.token, api_url=server.url, webhook=webhook, stars_per_credit=2)
        engine = FakeEngine(manual=True)
        async with running_app(folder, options, credits_=10**9, engine=engine) as app:
            fuzzed = FuzzedTelegram(server, app.telegram)
            await fuzzed.handle({"message": fuzzed.message(text="/video a fox")})
            yield fuzzed
            server.spec_violations.clear()


def _opener(
    feed: Callable[[FuzzedTelegram, bytes], Awaitable[None]],
) -> Callable[[Path], Any]:
    @asynccontextmanager
    async def open_(folder: Path) -> AsyncIterator[Call]:
        async with fuzzed_telegram(folder) as fuzzed:
            yield lambda data: feed(fuzzed, data)

    return open_


async def _feed_message(fuzzed: FuzzedTelegram, data: bytes) -> None:
    text = sendable(to_text(data))[:MAX_TEXT]
    await fuzzed.handle({"message": fuzzed.message(text=text)})


async def _feed_callback(fuzzed: FuzzedTelegram, data: bytes) -> None:
    text = sendable(to_text(data)).encode()[:MAX_CALLBACK_BYTES].decode("utf-8", "ignore")
    number = str(next(fuzzed.numbers))
    fuzzed.server.world.queries.add(number)
    shown = Message(next(fuzzed.numbers), fuzzed.server.world.chats[fuzzed.user.id], None, "a message")
    query = {"id": number, "from": fuzzed.user.to_json(), "message": shown.to_json(), "data": text}
    await fuzzed.handle({"callback_query": query | {"chat_instance": "1"}})


async def _feed_query(fuzzed: FuzzedTelegram, data: bytes) -> None:
    value = from_json(data)
    if not (isinstance(value, list) and len(value) > 1 and all(isinstance(text, str) for text in value)):
        return
    number = str(next(fuzzed.numbers))
    fuzzed.server.world.queries.add(number)
    words, offset = (sendable(text)[:MAX_QUERY] for text in value[:2])
    query = {"id": number, "from": fuzzed.user.to_json(), "query": words, "offset": offset}
    await fuzzed.handle({"inline_query": query})


async def _feed_update(fuzzed: FuzzedTelegram, data: bytes) -> None:
    await fuzzed.handle_body(data)


def sendable(text: str) -> str:
    """Telegram passes on no lone surrogates and no null characters."""
    return text.encode("utf-8", "ignore").decode().replace("\0", "")


def update_seeds() -> list[bytes]:
    """Updates as Telegram sends them, with everything that the bot reads."""
    ada = {"id": 5, "is_bot": False, "first_name": "Ada", "language_code": "en"}
    bot = {"id": 7_000_001, "is_bot": True, "first_name": "Matinee", "username": "matinee_bot"}
    private, group = (
        {"id": 5, "type": "private"},
        {"id": -1_000_000_000_007, "type": "supergroup", "title": "Films"},
    )
    file = {"file_id": "f", "file_unique_id": "u", "file_size": 1000}
    base = {"message_id": 1, "date": 1_700_000_000, "chat": private, "from": ada}
    markup = {"inline_keyboard": [[{"text": "New", "callback_data": "reroll:1"}]]}
    question = {**base, "from": bot, "text": "What should it show?\n/video #lofi", "reply_markup": markup}
    payment = {
        "currency": "XTR",
        "total_amount": 20,
        "invoice_payload": "credits:10",
        "telegram_payment_charge_id": "c",
        "provider_payment_charge_id": "p",
    }
    entities = [{"type": "bot_command", "offset": 0, "length": 6}]
    messages: list[dict[str, Any]] = [
        {**base, "text": "/video a fox", "entities": entities},
        {**base, "text": "a dog", "reply_to_message": question, "quote": {"text": "a", "position": 0}},
        {**base, "chat": group, "text": "/queue", "message_thread_id": 3, "is_topic_message": True},
        {**base, "chat": group, "sender_chat": group, "text": "/history", "media_group_id": "9"},
        {**base, "caption": "/animate it moves", "photo": [{**file, "width": 90, "height": 90}]},
        {**base, "caption": "/recipe", "document": {**file, "file_name": "a.mp4", "mime_type": "video/mp4"}},
        {**base, "caption": "/video x", "audio": {**file, "duration": 3, "title": "Song"}},
        {**base, "voice": {**file, "duration": 3}},
        {**base, "video": {**file, "width": 9, "height": 9, "duration": 1}},
        {**base, "successful_payment": payment},
        {**base, "refunded_payment": payment},
        {**base, "chat": group, "migrate_to_chat_id": -1_000_000_000_008},
        {
            **base,
            "text": "/admin stop",
            "forward_origin": {"type": "user", "date": 1, "sender_user": ada},
        },
    ]
    member = {"status": "member", "user": bot}
    change = {"chat": group, "from": ada, "date": 1, "old_chat_member": {**member, "status": "left"}}
    checkout = {
        "id": "3",
        "from": ada,
        "currency": "XTR",
        "total_amount": 20,
        "invoice_payload": "credits:10",
    }
    others: list[dict[str, Any]] = [
        {
            "callback_query": {
                "id": "1",
                "from": ada,
                "message": question,
                "chat_instance": "1",
                "data": "reroll:1",
            }
        },
        {"inline_query": {"id": "2", "from": ada, "query": "fox", "offset": ""}},
        {"pre_checkout_query": checkout},
        {"my_chat_member": {**change, "new_chat_member": member}},
    ]
    updates = [*({"message": message} for message in messages), *others]
    return [to_json({"update_id": 7, **update}) for update in updates]


@asynccontextmanager
async def _webhook(folder: Path) -> AsyncIterator[Call]:
    """Raw requests, each on a connection of its own. Whatever they are, the answer is a status below 500."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    hook = Webhook(url=f"http://127.0.0.1:{port}/telegram", secret=SECRET, port=port)
    async with fuzzed_telegram(folder, webhook=hook) as fuzzed:
        await fuzzed.server.wait_until(lambda: fuzzed.server.webhook)

        async def call(data: bytes) -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(data)
                writer.write_eof()
                line = (await reader.readline()).split()
            except ConnectionError:
                line = []
            finally:
                writer.close()
            fuzzed.forget_traffic()
            assert not (len(line) > 1 and line[1].startswith(b"5")), f"status {line[1].decode()}"

        yield call


def request_seeds() -> list[bytes]:
    head = (
        b"POST /telegram HTTP/1.1\r\nHost: matinee\r\nConnection: close\r\nContent-Type: application/json\r\n"
        b"X-Telegram-Bot-Api-Secret-Token: " + SECRET.encode()
    )
    bodies = [*update_seeds(), b"{}", b"[]", b"\xff"]
    plain = [b"%s\r\nContent-Length: %d\r\n\r\n%s" % (head, len(body), body) for body in bodies]
    chunked = [
        b"%s\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (head, len(body), body)
        for body in bodies
    ]
    return plain + chunked


TARGETS = (
    Target(
        name="Telegram: update behind the secret",
        shape="json",
        seeds=update_seeds,
        open=_opener(_feed_update),
        covers=(
            "bot.frontends.telegram.updates:parse_update",
            "bot.frontends.telegram.update_shape:*",
            "bot.frontends.telegram.questions:parse_answer",
            "bot.frontends.telegram.command_router:CommandRouter.parse_message",
        ),
        share=4,
    ),
    Target(
        name="Telegram: raw request to the webhook",
        shape="bytes",
        seeds=request_seeds,
        open=_webhook,
        covers=("bot.frontends.telegram.updates:serve_webhook",),
        share=2,
    ),
    Target(
        name="Telegram: message",
        shape="text",
        seeds=lambda: [to_bytes(text) for text in COMMANDS],
        open=_opener(_feed_message),
        covers=("bot.frontends.telegram.command_router:CommandRouter._parse_command",),
        share=4,
    ),
    Target(
        name="Telegram: callback data",
        shape="text",
        seeds=lambda: [to_bytes(text) for text in CALLBACKS],
        open=_opener(_feed_callback),
        covers=("bot.frontends.telegram.button_handler:ButtonHandler.handle",),
        share=3,
    ),
    Target(
        name="Telegram: inline query",
        shape="json",
        seeds=lambda: QUERIES,
        open=_opener(_feed_query),
        covers=("bot.frontends.telegram.inline_mode:answer_query",),
    ),
)
