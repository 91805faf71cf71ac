"""One command, as it was typed or as a button or an answer completed it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from telegram import Message

    from bot.frontends.telegram.message_context import MessageContext


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """A command with its sender, chat, arguments and message."""

    context: MessageContext
    message: Message
    name: str = ""
    arguments: str = ""
    status_message: str = ""  # id of the bot's message that becomes the job's status message
    callback_key: str = ""  # dedup key of a button press; without one the message is the key
    completes_question: bool = False  # an answer to a question: do not ask again

    @property
    def dedup_key(self) -> str:
        """The same for every update that Telegram sends about this command."""
        return self.callback_key or self.context.dedup_key
