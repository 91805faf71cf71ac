"""Everything Matinee says in Telegram passes here: in the chat's pace, and to where the chat moved."""

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
from bot.frontends.telegram import send_errors
from bot.frontends.telegram.client import Client
from bot.frontends.telegram.rate_limiter import Pace
from bot.frontends.telegram.transport import NeverSent
from bot.pipeline.delivery import Unreachable
from generation.progress import Progress

T = TypeVar("T")
TEXT_LIMIT, CAPTION_LIMIT = 4096, 1024
TRIES = 3
"""How often a text is said again to a chat that asked for silence; each try waits as long as it asked."""
LONGEST_SILENCE = 120.0
RECONNECT = 1.0
"""Seconds before a text whose connection never came about is said again."""
NO_PREVIEW = {"is_disabled": True}
MENTION, SCHEME, DOMAIN = re.compile(r"@(?=\w)"), re.compile(r"://"), re.compile(r"(?<=\w)\.(?=[^\W\d_]{2})")
JOINER = "\u2060"
Markup = InlineKeyboardMarkup | ForceReply

log = structlog.get_logger(__name__)


@dataclass
class Voice:
    bot: Client
    pace: Pace = field(default_factory=Pace)
    moved: dict[int, int] = field(default_factory=dict)  # chats that became another one
    on_move: Callable[[int, int], Awaitable[None]] | None = None

    async def reply(
        self,
        reply_to: ReplyTo,
        text: str,
        *,
        keyboard: Markup | None = None,
        code: str = "",
        moments: Mapping[str, float] | None = None,
    ) -> int:
        """A new message in answer to the person's; its id.

        `code` follows, to be copied with a tap; `moments` in the text are shown in the reader's own zone.
        """
        said = cut(tame(text))
        whole = cut("\n".join(filter(None, (said, code))))
        marks = [*(_as_code(whole, after=said) if code else ()), *_as_moments(whole, moments or {})]

        async def send(chat: int, thread: int | None) -> int:
            return await self.bot.say(
                chat,
                whole,
                entities=marks or None,
                reply_markup=keyboard,
                link_preview_options=NO_PREVIEW,
                message_thread_id=thread,
                reply_parameters=answer,
            )

        answer = answering(reply_to)
        return await self.post(reply_to, send)

    async def post(self, reply_to: ReplyTo, send: Callable[[int, int | None], Awaitable[T]]) -> T:
        """Into its topic, or beside it where the topic was closed or deleted. Raises as `patiently`."""
        thread = int(reply_to.thread) if reply_to.thread else None
        try:
            return await self.patiently(int(reply_to.chat), lambda chat: send(chat, thread))
        except BadRequest as error:
            if thread is None or not send_errors.topic_lost(error):
                raise
        return await self.patiently(int(reply_to.chat), lambda chat: send(chat, None))

    async def hand(self, reply_to: ReplyTo, content: bytes, name: str, text: str) -> None:
        """A file in answer to the person's message. Raises a SendError."""

        async def send(chat: int) -> Message:
            return await self.bot.send_document(
                chat, content, caption=text, filename=name, reply_parameters=answering(reply_to)
            )

        await self.patiently(int(reply_to.chat), send)

    async def show(self, job: Job, text: str, keyboard: InlineKeyboardMarkup | None) -> bool:
        """Rewrite a job's status message; False where there is none to rewrite any more."""
        if not job.reply_to.status:
            return False

        async def edit(chat: int) -> None:
            await self.bot.rewrite(
                chat,
                int(job.reply_to.status),
                cut(tame(text)),
                reply_markup=keyboard,
                link_preview_options=NO_PREVIEW,
            )

        try:
            await self.patiently(int(job.reply_to.chat), edit)
        except BadRequest as error:
            return send_errors.unchanged(error)
        return True

    async def glance(
        self, job: Job, text: str, progress: Progress, keyboard: InlineKeyboardMarkup | None
    ) -> None:
        """Progress: said if the chat has room for it, else left out."""
        chat = self.home(int(job.reply_to.chat))
        if not job.reply_to.status or not self.pace.spare(chat):
            return
        try:
            shown = f"{text}\n{bar(progress.share)}"
            await self.bot.rewrite(chat, int(job.reply_to.status), shown, reply_markup=keyboard)
        except RetryAfter as error:
            self.pace.shut(chat, send_errors.seconds(error))
        except TelegramError as error:
            if not (send_errors.unchanged(error) or send_errors.gone(error)):
                raise send_errors.send_error(error) from error

    async def patiently(self, number: int, call: Callable[[int], Awaitable[T]]) -> T:
        """Wait out a flood, follow a chat that moved. Raises BadRequest as it is, else a SendError."""
        flood: RetryAfter | None = None
        for _ in range(TRIES):
            chat = self.home(number)
            if (silence := self.pace.silence(chat)) > LONGEST_SILENCE:
                raise send_errors.Flood(silence)
            await self.pace.turn(chat)
            try:
                return await call(chat)
            except RetryAfter as error:
                flood = error
                self.pace.shut(chat, send_errors.seconds(error))
                if send_errors.seconds(error) > LONGEST_SILENCE:
                    raise send_errors.send_error(error) from error
            except ChatMigrated as error:
                await self.move(chat, error.new_chat_id)
            except NeverSent:
                await asyncio.sleep(RECONNECT)
            except BadRequest:
                raise
            except TelegramError as error:
                raise send_errors.send_error(error) from error
        raise Unreachable("not connected") if flood is None else send_errors.send_error(flood)

    def home(self, chat: int) -> int:
        """Where a chat is now."""
        return self.moved.get(chat, chat)

    async def move(self, old: int, new: int) -> None:
        log.info("chat moved", old=old, new=new)
        self.moved[old] = new
        if self.on_move is not None:
            await self.on_move(old, new)

    async def acting(self, reply_to: ReplyTo, action: str) -> None:
        """Show "sending a video" over and over, as each lasts five seconds; until cancelled."""
        thread = int(reply_to.thread) if reply_to.thread else None
        while True:
            try:
                await self.bot.send_chat_action(
                    self.home(int(reply_to.chat)), action, message_thread_id=thread
                )
            except TelegramError:
                return
            await asyncio.sleep(4.5)


def answering(reply_to: ReplyTo) -> ReplyParameters | None:
    """The answer still comes when what it answers was deleted."""
    if not reply_to.message:
        return None
    return ReplyParameters(int(reply_to.message), allow_sending_without_reply=True)


def units(text: str) -> int:
    """Telegram counts in UTF-16 code units."""
    return len(text.encode("utf-16-le")) // 2


def cut(text: str, limit: int = TEXT_LIMIT) -> str:
    return text if units(text) <= limit else text[: limit // 2 - 1] + "…"


def tame(text: str) -> str:
    """Nobody is called and nothing is linked by words that somebody typed: a chat does both by itself."""
    text = SCHEME.sub(f":{JOINER}//", MENTION.sub(f"@{JOINER}", text))
    return DOMAIN.sub(f".{JOINER}", text)


def _as_code(whole: str, *, after: str) -> list[MessageEntity]:
    start = units(after) + 1 if after else 0
    return [MessageEntity(MessageEntity.CODE, start, units(whole) - start)]


def _as_moments(whole: str, moments: Mapping[str, float]) -> list[MessageEntity]:
    return [
        MessageEntity(
            MessageEntity.DATE_TIME,
            units(whole[: whole.index(words)]),
            units(words),
            date_time_format="wDt",
            unix_time=datetime.fromtimestamp(at, UTC),
        )
        for words, at in moments.items()
        if words in whole
    ]


def bar(share: float, width: int = 12) -> str:
    full = round(width * min(1.0, max(0.0, share)))
    return "▰" * full + "▱" * (width - full)
