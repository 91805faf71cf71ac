"""Send notices to private chats, with the clip under a spoiler and buttons to act on them."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from telegram import InputFile, Message

from bot.frontends.common.attachments import IMAGE_SUFFIXES
from bot.frontends.common.buttons import notice_buttons
from bot.frontends.telegram.keyboards import keyboard
from bot.frontends.telegram.message_sender import CAPTION_LIMIT, disarm_links, truncate

if TYPE_CHECKING:
    from bot.domain.events import Notice
    from bot.frontends.telegram.message_sender import Messenger


async def send_notice(messenger: Messenger, chat: int, notice: Notice) -> None:
    """Send one notice. Raises a SendError or BadRequest if the user cannot be reached."""
    reply_markup = keyboard(notice_buttons(notice.actions, notice.language))
    text = disarm_links(notice.text)

    async def send(to: int) -> Message:
        if notice.clip is None or not notice.clip.is_file():
            return await messenger.bot.send_message(to, truncate(text), reply_markup=reply_markup)
        with ExitStack() as files:
            content = InputFile(files.enter_context(notice.clip.open("rb")), filename=notice.clip.name)
            caption = truncate(text, CAPTION_LIMIT)
            if notice.clip.suffix.lower() in IMAGE_SUFFIXES:
                return await messenger.bot.send_photo(
                    to, content, caption=caption, has_spoiler=True, reply_markup=reply_markup
                )
            return await messenger.bot.send_video(
                to, content, caption=caption, has_spoiler=True, reply_markup=reply_markup
            )

    await messenger.call_with_retry(chat, send)
