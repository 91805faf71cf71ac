"""Send finished clips, either by editing the status message or as a new reply."""

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

from bot.domain.jobs import Job
from bot.frontends.common.attachments import IMAGE_SUFFIXES
from bot.frontends.common.buttons import INFO_VERBS, clip_buttons
from bot.frontends.telegram import send_errors
from bot.frontends.telegram.keyboards import keyboard
from bot.frontends.telegram.message_sender import (
    CAPTION_LIMIT,
    Messenger,
    disarm_links,
    reply_parameters_for,
    truncate,
)
from bot.frontends.telegram.send_errors import FloodWait
from bot.i18n import messages
from bot.pipeline.delivery import OutgoingClip

EDIT_WINDOW = 60.0
"""Seconds after which a clip is sent as a new message: an edited message does not notify the user."""


@dataclass(frozen=True, slots=True)
class SentMessage:
    """A delivered clip, stored as one string: its message, and the file id to share it elsewhere."""

    chat: int
    message: int
    file_id: str

    def __str__(self) -> str:
        return f"{self.chat}/{self.message}/{self.file_id}"

    @classmethod
    def parse(cls, text: str) -> SentMessage | None:
        chat, _, rest = text.partition("/")
        message, _, file = rest.partition("/")
        try:
            return cls(int(chat), int(message), file)
        except ValueError:
            return None


@dataclass
class ClipSender:
    messenger: Messenger
    local_server: bool = False  # a Bot API server on this machine reads files by path instead of an upload
    clock: Callable[[], float] = time.time

    async def send(self, outgoing: OutgoingClip) -> str:
        """Send the clip; return a SentMessage as text.

        Raises a SendError; MaybeSent only if the clip may have arrived.
        """
        job = outgoing.job
        chat_action = asyncio.create_task(
            self.messenger.keep_chat_action(job.reply_to, _chat_action(outgoing))
        )
        try:
            message = await self._send_message(outgoing)
        except BadRequest as error:
            raise send_errors.send_error(error) from error
        finally:
            chat_action.cancel()
            with suppress(asyncio.CancelledError):
                await chat_action
        return str(SentMessage(message.chat.id, message.message_id, _file_id(message)))

    async def _send_message(self, outgoing: OutgoingClip) -> Message:
        if self.replaces_status(outgoing.job):
            try:
                return await self._replace_status(outgoing)
            except BadRequest as error:
                if not send_errors.is_message_gone(error):
                    raise
        try:
            return await self.messenger.send_to_topic(outgoing.job.reply_to, self._post_function(outgoing))
        except FloodWait as flood:
            if not outgoing.job.reply_to.status:
                raise
            return await self._replace_despite_flood(outgoing, flood)

    async def _replace_status(self, outgoing: OutgoingClip) -> Message:
        """Edit the status message so that it shows the clip."""
        return await self.messenger.call_with_retry(
            int(outgoing.job.reply_to.chat), self._edit_function(outgoing)
        )

    async def _replace_despite_flood(self, outgoing: OutgoingClip, flood: FloodWait) -> Message:
        """Edit the status message although the chat is rate limited.

        A group in slow mode accepts no new message for a long time, but accepts edits.
        """
        chat = self.messenger.current_chat(int(outgoing.job.reply_to.chat))
        try:
            return await self._edit_function(outgoing)(chat)
        except BadRequest as error:
            if send_errors.is_message_gone(error):
                raise flood from error
            raise
        except RetryAfter as error:
            raise flood from error
        except TelegramError as error:
            raise send_errors.send_error(error) from error

    def replaces_status(self, job: Job) -> bool:
        """Whether the status message will be edited to show the clip."""
        return bool(job.reply_to.status) and self.clock() - job.created_at < EDIT_WINDOW

    def _edit_function(self, outgoing: OutgoingClip) -> Callable[[int], Awaitable[Message]]:
        async def edit(chat: int) -> Message:
            with ExitStack() as files:
                media = _input_media(
                    outgoing, self._file_content(outgoing.clip.path, files), self._thumbnail(outgoing, files)
                )
                status = int(outgoing.job.reply_to.status)
                edited = await self.messenger.bot.edit_message_media(
                    media, chat, status, reply_markup=keyboard(outgoing.buttons)
                )
            assert isinstance(edited, Message), "only the edit of an inline message returns no Message"
            return edited

        return edit

    def _post_function(self, outgoing: OutgoingClip) -> Callable[[int, int | None], Awaitable[Message]]:
        async def post(chat: int, thread: int | None) -> Message:
            common: dict[str, Any] = {
                "message_thread_id": thread,
                "reply_parameters": reply_parameters_for(outgoing.job.reply_to),
                "caption": truncate(disarm_links(outgoing.text), CAPTION_LIMIT),
                "reply_markup": keyboard(outgoing.buttons),
                "has_spoiler": outgoing.spoiler,
            }
            with ExitStack() as files:
                content = self._file_content(outgoing.clip.path, files)
                if _is_image(outgoing):
                    return await self.messenger.bot.send_photo(chat, content, **common)
                return await self.messenger.bot.send_video(
                    chat,
                    content,
                    thumbnail=self._thumbnail(outgoing, files),
                    **_video_fields(outgoing),
                    **common,
                )

        return post

    def _file_content(self, path: Path, files: ExitStack) -> InputFile | Path:
        if self.local_server:
            return path
        return InputFile(
            files.enter_context(path.open("rb")), filename=path.name, attach=True, read_file_handle=False
        )

    def _thumbnail(self, outgoing: OutgoingClip, files: ExitStack) -> InputFile | Path | None:
        poster = outgoing.clip.poster
        return self._file_content(poster, files) if poster is not None and poster.is_file() else None


def with_details(outgoing: OutgoingClip, job: Job, derivative_verbs: tuple[str, ...]) -> OutgoingClip:
    """Add a line of facts under the title, and the buttons that apply to this clip."""
    language = job.requester.language
    title, _, rest = outgoing.text.partition("\n")
    text = "\n".join(filter(None, (title, messages.summary_line(job, language), rest)))
    buttons = clip_buttons(job, outgoing.buttons, (*derivative_verbs, "edit", *INFO_VERBS))
    return replace(outgoing, job=job, text=text, buttons=buttons)


def _input_media(outgoing: OutgoingClip, content: Any, thumbnail: Any) -> InputMediaPhoto | InputMediaVideo:
    caption = truncate(disarm_links(outgoing.text), CAPTION_LIMIT)
    spoiler = outgoing.spoiler
    if _is_image(outgoing):
        return InputMediaPhoto(content, caption=caption, has_spoiler=spoiler)
    facts = _video_fields(outgoing)
    return InputMediaVideo(content, caption=caption, thumbnail=thumbnail, has_spoiler=spoiler, **facts)


def _video_fields(outgoing: OutgoingClip) -> dict[str, Any]:
    clip = outgoing.clip
    size = {"width": clip.width, "height": clip.height}
    return {**size, "duration": max(1, round(clip.seconds)), "supports_streaming": True}


def _is_image(outgoing: OutgoingClip) -> bool:
    return outgoing.clip.path.suffix.lower() in IMAGE_SUFFIXES


def _chat_action(outgoing: OutgoingClip) -> str:
    return ChatAction.UPLOAD_PHOTO if _is_image(outgoing) else ChatAction.UPLOAD_VIDEO


def _file_id(message: Message) -> str:
    if message.video is not None:
        return message.video.file_id
    return message.photo[-1].file_id if message.photo else ""
