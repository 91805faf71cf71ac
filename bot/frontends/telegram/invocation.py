"""One command as it was written, or as a button or an answer completed it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from telegram import Message

    from bot.frontends.telegram.message_context import Place


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Who, where, which words, and the message that carries them."""

    place: Place
    message: Message
    name: str = ""
    words: str = ""
    status: str = ""  # our message that becomes the status of the job
    key: str = ""  # of a press, which may be repeated; else the message itself is the key
    answers: bool = False  # completes a command that lacked something: it is not asked once more

    @property
    def update(self) -> str:
        """The same for every time Telegram tells us of this wish."""
        return self.key or self.place.update
