"""Word for the operators in their own chats: what it is about, the clip veiled, and what can be done."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from telegram import InputFile, Message

from bot.frontends.telegram.clip_sender import STILLS
from bot.frontends.telegram.keyboards import keyboard
from bot.frontends.telegram.messenger import CAPTION_LIMIT, cut, tame
from bot.i18n import messages
from bot.pipeline.delivery import Button

if TYPE_CHECKING:
    from bot.frontends.telegram.messenger import Voice
    from bot.moderation.admin_notices import Notice


async def post(voice: Voice, chat: int, notice: Notice) -> None:
    """Raises a SendError or a BadRequest where the operator cannot be reached."""
    buttons = keyboard(Button(messages.words(f"button.{a.verb}"), a) for a in notice.actions)
    text = tame(notice.text)

    async def send(to: int) -> Message:
        if notice.clip is None or not notice.clip.is_file():
            return await voice.bot.send_message(to, cut(text), reply_markup=buttons)
        with ExitStack() as files:
            content = InputFile(files.enter_context(notice.clip.open("rb")), filename=notice.clip.name)
            caption = cut(text, CAPTION_LIMIT)
            if notice.clip.suffix.lower() in STILLS:
                return await voice.bot.send_photo(
                    to, content, caption=caption, has_spoiler=True, reply_markup=buttons
                )
            return await voice.bot.send_video(
                to, content, caption=caption, has_spoiler=True, reply_markup=buttons
            )

    await voice.patiently(chat, send)
