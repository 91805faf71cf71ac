"""A finished clip on its way: the status message turns into it, or a reply carries it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from telegram import InputFile, InputMediaPhoto, InputMediaVideo, Message
from telegram.constants import ChatAction
from telegram.error import BadRequest

from bot.delivery import Parcel
from bot.frontends.telegram import faults
from bot.frontends.telegram.keyboards import keyboard
from bot.frontends.telegram.voice import Voice, answering, cut
from bot.job import Job, ReplyTo

CAPTION_LIMIT = 1024
SOON = 60.0
"""Seconds: who waited longer has put the phone away, and only a new message rings it."""
STILLS = {".png", ".jpg", ".jpeg", ".webp"}


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
            raise faults.send_error(error) from error
        finally:
            acting.cancel()
            with suppress(asyncio.CancelledError):
                await acting
        return str(Sent(message.chat.id, message.message_id, _file(message)))

    async def _send(self, parcel: Parcel) -> Message:
        if self.turns_status(parcel.job):
            try:
                return await self.voice.patiently(int(parcel.job.reply_to.chat), self._edit(parcel))
            except BadRequest as error:
                if not faults.gone(error):
                    raise
        return await self.voice.patiently(int(parcel.job.reply_to.chat), self._post(parcel))

    def turns_status(self, job: Job) -> bool:
        """Whether the status message itself becomes the clip."""
        return bool(job.reply_to.status) and self.clock() - job.created_at < SOON

    def _edit(self, parcel: Parcel) -> Any:
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

    def _post(self, parcel: Parcel) -> Any:
        async def post(chat: int) -> Message:
            common: dict[str, Any] = _place(parcel.job.reply_to) | {
                "caption": cut(parcel.text, CAPTION_LIMIT),
                "reply_markup": keyboard(parcel.buttons),
                "has_spoiler": _spoiler(parcel.job),
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


def _media(parcel: Parcel, content: Any, thumbnail: Any) -> InputMediaPhoto | InputMediaVideo:
    caption = cut(parcel.text, CAPTION_LIMIT)
    spoiler = _spoiler(parcel.job)
    if _still(parcel):
        return InputMediaPhoto(content, caption=caption, has_spoiler=spoiler)
    facts = _facts(parcel)
    return InputMediaVideo(content, caption=caption, thumbnail=thumbnail, has_spoiler=spoiler, **facts)


def _facts(parcel: Parcel) -> dict[str, Any]:
    clip = parcel.clip
    size = {"width": clip.width, "height": clip.height}
    return {**size, "duration": max(1, round(clip.seconds)), "supports_streaming": True}


def _place(reply_to: ReplyTo) -> dict[str, Any]:
    return {
        "message_thread_id": int(reply_to.thread) if reply_to.thread else None,
        "reply_parameters": answering(reply_to),
    }


def _still(parcel: Parcel) -> bool:
    return parcel.clip.path.suffix.lower() in STILLS


def _spoiler(job: Job) -> bool:
    return bool(job.reply_to.facts.get("spoiler"))


def _action(parcel: Parcel) -> str:
    return ChatAction.UPLOAD_PHOTO if _still(parcel) else ChatAction.UPLOAD_VIDEO


def _file(message: Message) -> str:
    if message.video is not None:
        return message.video.file_id
    return message.photo[-1].file_id if message.photo else ""
