"""One command as it was written, or as a button or an answer completed it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from telegram import Message

    from bot.frontends.telegram.message_context import MessageContext


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """Who, where, which words, and the message that carries them."""

    context: MessageContext
    message: Message
    name: str = ""
    arguments: str = ""
    status_message: str = ""  # our message that becomes the status of the job
    callback_key: str = ""  # of a press, which may be repeated; else the message itself is the key
    completes_question: bool = False  # completes a command that lacked something: it is not asked once more

    @property
    def dedup_key(self) -> str:
        """The same for every time Telegram tells us of this wish."""
        return self.callback_key or self.context.dedup_key
