"""Sends every message: obeys the rate limits, retries, and follows chats that moved to a new id."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

import structlog
from telegram import (
    ForceReply,
    InlineKeyboardMarkup,
    Message,
    MessageEntity,
    ReplyParameters,
)
from telegram.error import BadRequest, ChatMigrated, RetryAfter, TelegramError

from bot.domain.jobs import Job, ReplyTo
from bot.frontends.common.progress_bar import progress_bar
from bot.frontends.telegram import send_errors
from bot.frontends.telegram.client import Client
from bot.frontends.telegram.rate_limiter import RateLimiter
from bot.frontends.telegram.transport import NeverSent
from bot.pipeline.delivery import Unreachable
from generation.progress import Progress

T = TypeVar("T")
TEXT_LIMIT, CAPTION_LIMIT = 4096, 1024
PROGRESS_BAR_WIDTH = 12
MAX_TRIES = 3
"""How often a call is tried when Telegram answers "retry after"; each try waits as long as it asks."""
MAX_BLOCK_SECONDS = 120.0
"""A chat that is blocked for longer is not waited for: the call fails with FloodWait."""
RECONNECT_DELAY = 1.0
"""Seconds before a call is tried again when no connection could be opened."""
NO_PREVIEW = {"is_disabled": True}
MENTION, SCHEME, DOMAIN = re.compile(r"@(?=\w)"), re.compile(r"://"), re.compile(r"(?<=\w)\.(?=[^\W\d_]{2})")
WORD_JOINER = "\u2060"
Markup = InlineKeyboardMarkup | ForceReply

log = structlog.get_logger(__name__)


@dataclass
class Messenger:
    bot: Client
    rate_limiter: RateLimiter = field(default_factory=RateLimiter)
    moved_chats: dict[int, int] = field(default_factory=dict)  # old chat id -> new chat id
    on_chat_moved: Callable[[int, int], Awaitable[None]] | None = None

    async def reply(
        self,
        reply_to: ReplyTo,
        text: str,
        *,
        keyboard: Markup | None = None,
        code: str = "",
        timestamps: Mapping[str, float] | None = None,
    ) -> int:
        """Send a new message in reply to the user's; return its id.

        `code` follows the text as a block that a tap copies. `timestamps` maps parts of the text to Unix
        times, which Telegram shows in the reader's time zone.
        """
        shown_text = truncate(disarm_links(text))
        full_text = truncate("\n".join(filter(None, (shown_text, code))))
        text_entities = [
            *(_code_entity(full_text, preceding=shown_text) if code else ()),
            *_timestamp_entities(full_text, timestamps or {}),
        ]

        async def send(chat: int, thread: int | None) -> int:
            return await self.bot.send_text(
                chat,
                full_text,
                entities=text_entities or None,
                reply_markup=keyboard,
                link_preview_options=NO_PREVIEW,
                message_thread_id=thread,
                reply_parameters=reply_parameters,
            )

        reply_parameters = reply_parameters_for(reply_to)
        return await self.send_to_topic(reply_to, send)

    async def send_to_topic(self, reply_to: ReplyTo, send: Callable[[int, int | None], Awaitable[T]]) -> T:
        """Send to the topic, or to the group if the topic was closed or deleted.

        Raises what `call_with_retry` raises.
        """
        thread = int(reply_to.thread) if reply_to.thread else None
        try:
            return await self.call_with_retry(int(reply_to.chat), lambda chat: send(chat, thread))
        except BadRequest as error:
            if thread is None or not send_errors.is_topic_gone(error):
                raise
        return await self.call_with_retry(int(reply_to.chat), lambda chat: send(chat, None))

    async def send_file(self, reply_to: ReplyTo, content: bytes, name: str, text: str) -> None:
        """Send a file in reply to the user's message. Raises what `call_with_retry` raises."""

        async def send(chat: int) -> Message:
            return await self.bot.send_document(
                chat, content, caption=text, filename=name, reply_parameters=reply_parameters_for(reply_to)
            )

        await self.call_with_retry(int(reply_to.chat), send)

    async def edit_status(self, job: Job, text: str, keyboard: InlineKeyboardMarkup | None) -> bool:
        """Edit a job's status message. Return False if there is none, or none that can be edited."""
        if not job.reply_to.status:
            return False

        async def edit(chat: int) -> None:
            await self.bot.edit_text(
                chat,
                int(job.reply_to.status),
                truncate(disarm_links(text)),
                reply_markup=keyboard,
                link_preview_options=NO_PREVIEW,
            )

        try:
            await self.call_with_retry(int(job.reply_to.chat), edit)
        except BadRequest as error:
            return send_errors.is_unchanged(error)
        return True

    async def show_progress(
        self, job: Job, text: str, progress: Progress, keyboard: InlineKeyboardMarkup | None
    ) -> None:
        """Show progress in the status message, or skip it if the rate limit leaves no capacity."""
        chat = self.current_chat(int(job.reply_to.chat))
        if not job.reply_to.status or not self.rate_limiter.try_acquire(chat):
            return
        try:
            shown = f"{text}\n{progress_bar(progress.fraction, PROGRESS_BAR_WIDTH)}"
            await self.bot.edit_text(chat, int(job.reply_to.status), shown, reply_markup=keyboard)
        except RetryAfter as error:
            self.rate_limiter.block(chat, send_errors.wait_seconds(error))
        except TelegramError as error:
            if not (send_errors.is_unchanged(error) or send_errors.is_message_gone(error)):
                raise send_errors.send_error(error) from error

    async def call_with_retry(self, chat_id: int, call: Callable[[int], Awaitable[T]]) -> T:
        """Call `call` with the chat's current id; retry after a rate limit, a move or a failed connection.

        Raises BadRequest unchanged; every other failure becomes a SendError.
        """
        flood: RetryAfter | None = None
        for _ in range(MAX_TRIES):
            chat = self.current_chat(chat_id)
            if (blocked_for := self.rate_limiter.blocked_for(chat)) > MAX_BLOCK_SECONDS:
                raise send_errors.FloodWait(blocked_for)
            await self.rate_limiter.acquire(chat)
            try:
                return await call(chat)
            except RetryAfter as error:
                flood = error
                self.rate_limiter.block(chat, send_errors.wait_seconds(error))
                if send_errors.wait_seconds(error) > MAX_BLOCK_SECONDS:
                    raise send_errors.send_error(error) from error
            except ChatMigrated as error:
                await self.record_move(chat, error.new_chat_id)
            except NeverSent:
                await asyncio.sleep(RECONNECT_DELAY)
            except BadRequest:
                raise
            except TelegramError as error:
                raise send_errors.send_error(error) from error
        raise Unreachable("not connected") if flood is None else send_errors.send_error(flood)

    def current_chat(self, chat: int) -> int:
        """The id that a chat has now."""
        return self.moved_chats.get(chat, chat)

    async def record_move(self, old: int, new: int) -> None:
        log.info("chat moved", old=old, new=new)
        self.moved_chats[old] = new
        if self.on_chat_moved is not None:
            await self.on_chat_moved(old, new)

    async def keep_chat_action(self, reply_to: ReplyTo, action: str) -> None:
        """Show a chat action such as "sending a video" until cancelled; each lasts five seconds."""
        thread = int(reply_to.thread) if reply_to.thread else None
        while True:
            try:
                await self.bot.send_chat_action(
                    self.current_chat(int(reply_to.chat)), action, message_thread_id=thread
                )
            except TelegramError:
                return
            await asyncio.sleep(4.5)


def reply_parameters_for(reply_to: ReplyTo) -> ReplyParameters | None:
    """The message to reply to, if any. The reply is sent even if that message was deleted."""
    if not reply_to.message:
        return None
    return ReplyParameters(int(reply_to.message), allow_sending_without_reply=True)


def utf16_length(text: str) -> int:
    """The length of `text` in UTF-16 code units, which Telegram counts in."""
    return len(text.encode("utf-16-le")) // 2


def truncate(text: str, limit: int = TEXT_LIMIT) -> str:
    return text if utf16_length(text) <= limit else text[: limit // 2 - 1] + "…"


def disarm_links(text: str) -> str:
    """Break mentions and links in text that a user typed; Telegram would notify and link on its own."""
    text = SCHEME.sub(f":{WORD_JOINER}//", MENTION.sub(f"@{WORD_JOINER}", text))
    return DOMAIN.sub(f".{WORD_JOINER}", text)


def _code_entity(full_text: str, *, preceding: str) -> list[MessageEntity]:
    start = utf16_length(preceding) + 1 if preceding else 0
    return [MessageEntity(MessageEntity.CODE, start, utf16_length(full_text) - start)]


def _timestamp_entities(full_text: str, timestamps: Mapping[str, float]) -> list[MessageEntity]:
    return [
        MessageEntity(
            MessageEntity.DATE_TIME,
            utf16_length(full_text[: full_text.index(words)]),
            utf16_length(words),
            date_time_format="wDt",
            unix_time=datetime.fromtimestamp(at, UTC),
        )
        for words, at in timestamps.items()
        if words in full_text
    ]
