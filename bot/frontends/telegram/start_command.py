"""/start: send a sample clip with two buttons, for an example and for help."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from telegram import InlineKeyboardMarkup, InputFile, Message
from telegram.error import BadRequest

from bot.domain.jobs import Action
from bot.frontends.telegram.keyboards import button
from bot.frontends.telegram.message_sender import CAPTION_LIMIT, disarm_links, reply_parameters_for, truncate
from bot.i18n import messages

if TYPE_CHECKING:
    from bot.frontends.telegram.message_context import Invocation
    from bot.frontends.telegram.update_replies import CommandHandler, Responder

SAMPLE_CLIP = Path(__file__).with_name("hello.mp4")
"""`matinee make "a red rocket rising over the snow at night" --model pocket --genre lofi --seed 7`"""
SAMPLE_SIDE, SAMPLE_SECONDS = 512, 2


@dataclass
class StartCommand:
    responder: Responder
    file_id: str = field(default="")  # Telegram's id of the sample clip after the first upload

    @property
    def handlers(self) -> dict[str, CommandHandler]:
        return {"start": self.start}

    async def start(self, invocation: Invocation) -> None:
        context = invocation.context
        text = messages.translate("welcome", context.language, name=context.requester.name)
        keyboard = start_keyboard(context.language)
        where = self.responder.reply_target(context)

        async def send(chat: int, thread: int | None) -> Message:
            with ExitStack() as files:
                return await self.responder.messenger.bot.send_video(
                    chat,
                    self.file_id
                    or InputFile(files.enter_context(SAMPLE_CLIP.open("rb")), filename="matinee.mp4"),
                    caption=truncate(disarm_links(text), CAPTION_LIMIT),
                    reply_markup=keyboard,
                    message_thread_id=thread,
                    reply_parameters=reply_parameters_for(where),
                    width=SAMPLE_SIDE,
                    height=SAMPLE_SIDE,
                    duration=SAMPLE_SECONDS,
                    supports_streaming=True,
                )

        try:
            shown = await self.responder.messenger.send_to_topic(where, send)
        except BadRequest:  # the chat forbids videos, or Telegram no longer has the file
            self.file_id = ""
            await self.responder.reply(context, text, keyboard)
        else:
            self.file_id = shown.video.file_id if shown.video else ""


def start_keyboard(language: str) -> InlineKeyboardMarkup:
    buttons = [
        button(messages.translate(f"button.{verb}", language), Action("go", 0, verb))
        for verb in ("try", "help")
    ]
    return InlineKeyboardMarkup([buttons])
