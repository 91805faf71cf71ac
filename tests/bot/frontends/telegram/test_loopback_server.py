"""The loopback Bot API answers the real client as Telegram does, including its refusals."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web
from telegram import InlineKeyboardButton, InlineKeyboardMarkup, InputMediaVideo, ReplyParameters
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Conflict,
    Forbidden,
    InvalidToken,
    NetworkError,
    RetryAfter,
)
from telegram.ext import Application, CommandHandler, ContextTypes, ExtBot

from tests.fakes.telegram_faults import api_error, flood_error, html_error
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.telegram_users import TelegramUser

Bot = ExtBot[None]
SECRET = "only-telegram-knows"  # noqa: S105  (used only in this test)


def keyboard(data: str) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup([[InlineKeyboardButton("Again", callback_data=data)]])


OVERLONG_KEYBOARD = keyboard("é" * 33)


async def test_real_application_receives_and_answers(server: TelegramServer, ada: TelegramUser) -> None:
    async def greet(_: object, context: ContextTypes.DEFAULT_TYPE) -> None:
        await context.bot.send_message(ada.id, "hello")

    app = (
        Application.builder()
        .token(server.token)
        .base_url(server.url + "/bot")
        .base_file_url(server.url + "/file/bot")
        .build()
    )
    app.add_handler(CommandHandler("start", greet))
    async with app:
        await app.start()
        assert app.updater is not None
        await app.updater.start_polling()
        await ada.writes("/start")
        await ada.hears("hello")
        await app.updater.stop()
        await app.stop()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("<b>open", 'Can\'t find end tag corresponding to start tag "b"'),
        ("<b>a</i>", 'Unmatched end tag at byte offset 4, expected "</b>"'),
        ("é <fox>", 'Unsupported start tag "fox" at byte offset 3'),
        ("a </b>", "Unexpected end tag at byte offset 2"),
    ],
)
async def test_broken_markup_is_refused_with_its_offset(
    client: Bot, ada: TelegramUser, source: str, words: str
) -> None:
    with pytest.raises(BadRequest, match="an't parse entities") as caught:
        await client.send_message(ada.id, source, parse_mode="HTML")
    assert words.lower() in str(caught.value).lower()


async def test_markup_becomes_entities(client: Bot, ada: TelegramUser) -> None:
    message = await client.send_message(ada.id, "🦊 <b>fox</b> &lt;3", parse_mode="HTML")
    assert message.text == "🦊 fox <3"
    assert [(e.type, e.offset, e.length) for e in message.entities] == [("bold", 3, 3)]


@pytest.mark.parametrize(
    ("do", "words"),
    [
        (lambda bot, ada: bot.send_message(ada.id, "x" * 4097), "message is too long"),
        (lambda bot, ada: bot.send_message(ada.id, " "), "text is empty"),
        (lambda bot, _: bot.send_message(404, "x"), "chat not found"),
        (
            lambda bot, ada: bot.send_message(ada.id, "x", reply_markup=keyboard("é" * 33)),
            "BUTTON_DATA_INVALID",
        ),
        (lambda bot, ada: bot.send_message(ada.id, "x", message_thread_id=9), "message thread not found"),
        (
            lambda bot, ada: bot.send_message(ada.id, "x", reply_parameters=ReplyParameters(9)),
            "message to be replied not found",
        ),
        (lambda bot, ada: bot.edit_message_text("x", ada.id, 9), "message to edit not found"),
        (lambda bot, ada: bot.send_video(ada.id, b"v", caption="x" * 1025), "caption is too long"),
        (lambda bot, ada: bot.send_video(ada.id, b"v", thumbnail=b"t" * 200_001), "thumbnail is too big"),
        (lambda bot, ada: bot.send_photo(ada.id, b"p" * (10 * 2**20 + 1)), "too big for a photo"),
        (lambda bot, _: bot.answer_callback_query("77"), "query is too old"),
        (lambda bot, ada: bot.refund_star_payment(ada.id, "77"), "CHARGE_NOT_FOUND"),
        (lambda bot, _: bot.set_my_commands([("Video", "x")]), "BOT_COMMAND_INVALID"),
    ],
)
async def test_invalid_calls_are_refused_with_telegrams_text(
    client: Bot, ada: TelegramUser, do: Callable[[Bot, TelegramUser], Awaitable[object]], words: str
) -> None:
    with pytest.raises(BadRequest) as caught:
        await do(client, ada)
    assert words.lower() in str(caught.value).lower()


async def test_file_over_the_limit_is_413(server: TelegramServer, client: Bot, ada: TelegramUser) -> None:
    server.world.file_limit = 1000
    with pytest.raises(NetworkError, match="Request Entity Too Large"):
        await client.send_video(ada.id, b"v" * 1001)


async def test_unchanged_edit_is_refused_and_a_changed_one_records_the_old_text(
    client: Bot, ada: TelegramUser
) -> None:
    message = await client.send_message(ada.id, "one")
    with pytest.raises(BadRequest, match="Message is not modified"):
        await message.edit_text("one")
    await message.edit_text("two")
    assert [(m.text, m.revisions) for m in ada.bot_messages()] == [("two", ["one"])]


async def test_message_is_edited_into_a_video_and_its_bytes_are_stored(
    server: TelegramServer, client: Bot, ada: TelegramUser
) -> None:
    message = await client.send_message(ada.id, "rendering")
    media = InputMediaVideo(b"film", caption="done", width=64, height=48, duration=5, thumbnail=b"t")
    await message.edit_media(media, reply_markup=keyboard("reroll:1"))
    (seen,) = ada.bot_messages()
    video = seen.media["video"]
    assert server.world.files[seen.file_id] == b"film"
    assert (video["width"], video["height"], video["duration"], seen.text) == (64, 48, 5, "done")
    assert seen.button("again")["callback_data"] == "reroll:1"
    file = await client.get_file(seen.file_id)
    assert bytes(await file.download_as_bytearray()) == b"film"


async def test_button_is_answered_once(client: Bot, ada: TelegramUser) -> None:
    await client.send_message(ada.id, "x", reply_markup=keyboard("go:1"))
    query = await ada.presses(ada.bot_messages()[0], "again")
    await client.answer_callback_query(query)
    with pytest.raises(BadRequest, match="too old"):
        await client.answer_callback_query(query)


async def test_flood_limit_applies_to_one_chat_only(
    server: TelegramServer, client: Bot, ada: TelegramUser
) -> None:
    server.world.private_flood_limit = (3, 60.0)
    bob = TelegramUser(server, "Bob")
    for number in range(3):
        await client.send_message(ada.id, f"{number}")
    with pytest.raises(RetryAfter) as caught:
        await client.send_message(ada.id, "four")
    assert caught.value.retry_after
    await client.send_message(bob.id, "not limited")
    assert [message.text for message in bob.bot_messages()] == ["not limited"]


async def test_migrated_and_blocked_chats_raise_their_errors(
    server: TelegramServer, client: Bot, ada: TelegramUser
) -> None:
    old, new = server.world.add_group("old"), server.world.add_group("new")
    old.migrated_to = new.id
    with pytest.raises(ChatMigrated) as caught:
        await client.send_message(old.id, "x")
    assert caught.value.new_chat_id == new.id
    ada.private_chat.blocked = "bot was blocked by the user"
    with pytest.raises(Forbidden, match="blocked by the user"):
        await client.send_message(ada.id, "x")


async def test_wrong_token_is_refused(server: TelegramServer) -> None:
    bot: Bot = ExtBot("7:wrong", base_url=server.url + "/bot")
    with pytest.raises(InvalidToken):
        await bot.initialize()
    await bot.shutdown()


async def test_newer_poll_ends_the_older_one(server: TelegramServer, client: Bot) -> None:
    first = asyncio.create_task(client.get_updates(timeout=10, read_timeout=20))
    await server.wait_until(lambda: server.polls == 1)
    second = asyncio.create_task(client.get_updates(timeout=10, read_timeout=20))
    with pytest.raises(Conflict, match="only one bot instance"):
        await first
    await server.push_update(poll={"id": "1"} | POLL)
    assert len(await second) == 1


POLL = {
    "question": "?",
    "options": [],
    "total_voter_count": 0,
    "is_closed": False,
    "is_anonymous": True,
    "type": "regular",
    "allows_multiple_answers": False,
    "allows_revoting": False,
    "members_only": False,
}


async def test_only_unconfirmed_updates_are_repeated(client: Bot, ada: TelegramUser) -> None:
    await ada.writes("one")
    await ada.writes("two")
    first, second = await client.get_updates()
    assert [u.update_id for u in await client.get_updates()] == [first.update_id, second.update_id]
    (left,) = await client.get_updates(offset=second.update_id)
    assert left.message is not None
    assert left.message.text == "two"


async def test_webhook_sends_the_secret_and_repeats_until_accepted(
    server: TelegramServer, client: Bot, ada: TelegramUser
) -> None:
    received: list[tuple[str | None, str]] = []

    async def listen(request: web.Request) -> web.Response:
        body = await request.json()
        received.append((request.headers.get("X-Telegram-Bot-Api-Secret-Token"), body["message"]["text"]))
        return web.Response(status=500 if len(received) == 1 else 200)

    app = web.Application()
    app.router.add_post("/hook", listen)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    await client.set_webhook(f"http://127.0.0.1:{runner.addresses[0][1]}/hook", secret_token=SECRET)
    with pytest.raises(Conflict, match="webhook is active"):
        await client.get_updates()
    await ada.writes("hello")
    await server.wait_until(lambda: server.delivered_by_webhook)
    assert received == [(SECRET, "hello")] * 2
    await client.delete_webhook()
    await runner.cleanup()


async def test_queued_faults_come_in_order_and_then_end(
    server: TelegramServer, client: Bot, ada: TelegramUser
) -> None:
    server.fail_next(
        "sendMessage", flood_error(7), api_error(403, "Forbidden: bot was kicked"), html_error(502)
    )
    with pytest.raises(RetryAfter):
        await client.send_message(ada.id, "x")
    with pytest.raises(Forbidden):
        await client.send_message(ada.id, "x")
    with pytest.raises(NetworkError):
        await client.send_message(ada.id, "x")
    assert ada.bot_messages() == []
    await client.send_message(ada.id, "x")
    assert [message.text for message in ada.bot_messages()] == ["x"]
