"""A finished clip on its way: the status message turns into it, or a reply carries it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from telegram import InputFile, InputMediaPhoto, InputMediaVideo, Message
from telegram.constants import ChatAction
from telegram.error import BadRequest, RetryAfter, TelegramError

from bot.domain.jobs import Action, Job
from bot.frontends.telegram import send_errors
from bot.frontends.telegram.keyboards import keyboard
from bot.frontends.telegram.messenger import CAPTION_LIMIT, Voice, answering, cut, tame
from bot.frontends.telegram.send_errors import Flood
from bot.i18n import messages
from bot.pipeline.delivery import Button, Parcel

SOON = 60.0
"""Seconds: who waited longer has put the phone away, and only a new message rings it."""
STILLS = {".png", ".jpg", ".jpeg", ".webp"}
ALWAYS = ("edit", "recipe", "delete", "report")


@dataclass(frozen=True, slots=True)
class Sent:
    """What we remember of a delivered clip, as one string: enough to find it, and to show it elsewhere."""

    chat: int
    message: int
    file: str

    def __str__(self) -> str:
        return f"{self.chat}/{self.message}/{self.file}"

    @classmethod
    def parse(cls, text: str) -> Sent | None:
        chat, _, rest = text.partition("/")
        message, _, file = rest.partition("/")
        try:
            return cls(int(chat), int(message), file)
        except ValueError:
            return None


@dataclass
class Carrier:
    voice: Voice
    local: bool = False  # a Bot API server on this machine takes paths instead of bytes
    clock: Callable[[], float] = time.time

    async def carry(self, parcel: Parcel) -> str:
        """Raises a SendError; a doubtful one only where the clip may really be there."""
        job = parcel.job
        acting = asyncio.create_task(self.voice.acting(job.reply_to, _action(parcel)))
        try:
            message = await self._send(parcel)
        except BadRequest as error:
            raise send_errors.send_error(error) from error
        finally:
            acting.cancel()
            with suppress(asyncio.CancelledError):
                await acting
        return str(Sent(message.chat.id, message.message_id, _file(message)))

    async def _send(self, parcel: Parcel) -> Message:
        if self.turns_status(parcel.job):
            try:
                return await self._turn(parcel)
            except BadRequest as error:
                if not send_errors.gone(error):
                    raise
        try:
            return await self.voice.post(parcel.job.reply_to, self._post(parcel))
        except Flood as slow:
            if not parcel.job.reply_to.status:
                raise
            return await self._instead(parcel, slow)

    async def _turn(self, parcel: Parcel) -> Message:
        """The status message becomes the clip."""
        return await self.voice.patiently(int(parcel.job.reply_to.chat), self._edit(parcel))

    async def _instead(self, parcel: Parcel, slow: Flood) -> Message:
        """A group in slow mode takes no new message for a long while, but lets an old one be changed."""
        chat = self.voice.home(int(parcel.job.reply_to.chat))
        try:
            return await self._edit(parcel)(chat)
        except BadRequest as error:
            if send_errors.gone(error):
                raise slow from error
            raise
        except RetryAfter as error:
            raise slow from error
        except TelegramError as error:
            raise send_errors.send_error(error) from error

    def turns_status(self, job: Job) -> bool:
        """Whether the status message itself becomes the clip."""
        return bool(job.reply_to.status) and self.clock() - job.created_at < SOON

    def _edit(self, parcel: Parcel) -> Callable[[int], Awaitable[Message]]:
        async def edit(chat: int) -> Message:
            with ExitStack() as files:
                media = _media(parcel, self._content(parcel.clip.path, files), self._thumbnail(parcel, files))
                status = int(parcel.job.reply_to.status)
                made = await self.voice.bot.edit_message_media(
                    media, chat, status, reply_markup=keyboard(parcel.buttons)
                )
            assert isinstance(made, Message), "only an inline message is answered without its Message"
            return made

        return edit

    def _post(self, parcel: Parcel) -> Callable[[int, int | None], Awaitable[Message]]:
        async def post(chat: int, thread: int | None) -> Message:
            common: dict[str, Any] = {
                "message_thread_id": thread,
                "reply_parameters": answering(parcel.job.reply_to),
                "caption": cut(tame(parcel.text), CAPTION_LIMIT),
                "reply_markup": keyboard(parcel.buttons),
                "has_spoiler": parcel.spoiler,
            }
            with ExitStack() as files:
                content = self._content(parcel.clip.path, files)
                if _still(parcel):
                    return await self.voice.bot.send_photo(chat, content, **common)
                return await self.voice.bot.send_video(
                    chat, content, thumbnail=self._thumbnail(parcel, files), **_facts(parcel), **common
                )

        return post

    def _content(self, path: Path, files: ExitStack) -> InputFile | Path:
        if self.local:
            return path
        return InputFile(
            files.enter_context(path.open("rb")), filename=path.name, attach=True, read_file_handle=False
        )

    def _thumbnail(self, parcel: Parcel, files: ExitStack) -> InputFile | Path | None:
        poster = parcel.clip.poster
        return self._content(poster, files) if poster is not None and poster.is_file() else None


def dressed(parcel: Parcel, job: Job, offers: tuple[str, ...]) -> Parcel:
    """With the facts under its title, and the buttons that would work on this clip."""
    language = job.requester.language
    title, _, rest = parcel.text.partition("\n")
    text = "\n".join(filter(None, (title, messages.facts_line(job, language), rest)))
    return replace(parcel, job=job, text=text, buttons=_buttons(parcel, offers))


def _buttons(parcel: Parcel, offers: tuple[str, ...]) -> tuple[Button, ...]:
    """What every chat has, then what this model can do with a finished clip, then the rest."""
    job, still = parcel.job, _still(parcel)
    kept = [button for button in parcel.buttons if not (still and button.action.verb == "score")]
    have = {button.action.verb for button in kept}
    more = [verb for verb in (*offers, *ALWAYS) if verb not in have]
    label, language = messages.words, job.requester.language
    return (*kept, *(Button(label(f"button.{verb}", language), Action(verb, job.id)) for verb in more))


def _media(parcel: Parcel, content: Any, thumbnail: Any) -> InputMediaPhoto | InputMediaVideo:
    caption = cut(tame(parcel.text), CAPTION_LIMIT)
    spoiler = parcel.spoiler
    if _still(parcel):
        return InputMediaPhoto(content, caption=caption, has_spoiler=spoiler)
    facts = _facts(parcel)
    return InputMediaVideo(content, caption=caption, thumbnail=thumbnail, has_spoiler=spoiler, **facts)


def _facts(parcel: Parcel) -> dict[str, Any]:
    clip = parcel.clip
    size = {"width": clip.width, "height": clip.height}
    return {**size, "duration": max(1, round(clip.seconds)), "supports_streaming": True}


def _still(parcel: Parcel) -> bool:
    return parcel.clip.path.suffix.lower() in STILLS


def _action(parcel: Parcel) -> str:
    return ChatAction.UPLOAD_PHOTO if _still(parcel) else ChatAction.UPLOAD_VIDEO


def _file(message: Message) -> str:
    if message.video is not None:
        return message.video.file_id
    return message.photo[-1].file_id if message.photo else ""
