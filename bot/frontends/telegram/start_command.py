"""The first word: /start shows a clip of Matinee's own, and two things to do next."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from telegram import InlineKeyboardMarkup, InputFile, Message
from telegram.error import BadRequest

from bot.domain.jobs import Action
from bot.frontends.telegram.keyboards import button
from bot.frontends.telegram.messenger import CAPTION_LIMIT, answering, cut, tame
from bot.i18n import messages

if TYPE_CHECKING:
    from bot.frontends.telegram.invocation import Asked
    from bot.frontends.telegram.responder import Command, Desk

CLIP = Path(__file__).with_name("hello.mp4")
"""matinee make "a red rocket rising over the snow at night" --model pocket --genre lofi --seed 7"""
SIDE, SECONDS = 512, 2


@dataclass
class Hello:
    desk: Desk
    file: str = field(default="")  # Telegram's own name for the clip, once it has it

    @property
    def commands(self) -> dict[str, Command]:
        return {"start": self.start}

    async def start(self, asked: Asked) -> None:
        place = asked.place
        text = messages.words("welcome", place.language, name=place.requester.name)
        keyboard = first_steps(place.language)
        where = self.desk.where(place)

        async def send(chat: int, thread: int | None) -> Message:
            with ExitStack() as files:
                return await self.desk.voice.bot.send_video(
                    chat,
                    self.file or InputFile(files.enter_context(CLIP.open("rb")), filename="matinee.mp4"),
                    caption=cut(tame(text), CAPTION_LIMIT),
                    reply_markup=keyboard,
                    message_thread_id=thread,
                    reply_parameters=answering(where),
                    width=SIDE,
                    height=SIDE,
                    duration=SECONDS,
                    supports_streaming=True,
                )

        try:
            shown = await self.desk.voice.post(where, send)
        except BadRequest:  # no videos in this chat, or a file that Telegram has forgotten
            self.file = ""
            await self.desk.tell(place, text, keyboard)
        else:
            self.file = shown.video.file_id if shown.video else ""


def first_steps(language: str) -> InlineKeyboardMarkup:
    made = [
        button(messages.words(f"button.{verb}", language), Action("go", 0, verb)) for verb in ("try", "help")
    ]
    return InlineKeyboardMarkup([made])
