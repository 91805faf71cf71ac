"""Questions for what a command lacks. A reply to the question completes the command."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from telegram import ForceReply

from bot.i18n import messages

if TYPE_CHECKING:
    from telegram import Message

QUESTION_NAMES = ("video", "image", "animate", "edit")
QUOTED_COMMAND, QUOTED_JOB_NUMBER = re.compile(r"/\w+\s+(.+)"), re.compile(r"#(\d+)")
PLACEHOLDER_LIMIT = 64


@dataclass(frozen=True, slots=True)
class PendingCommand:
    """An incomplete command. The question's text contains it, so no state is stored."""

    name: str
    arguments: str = ""

    def __str__(self) -> str:
        if self.name == "edit":
            return f"#{self.arguments}"
        return f"/{self.name} {self.arguments}" if self.arguments else ""


def question_text(pending: PendingCommand, language: str) -> str:
    return f"{messages.translate(f'ask.{pending.name}', language)}\n{pending}".strip()


def answer_field(language: str) -> ForceReply:
    """Open the reply field for the user who was asked."""
    return ForceReply(
        selective=True, input_field_placeholder=messages.translate("example", language)[:PLACEHOLDER_LIMIT]
    )


def parse_answer(message: Message, bot: int) -> PendingCommand | None:
    """The command that the message completes, if it replies to a question of the bot."""
    replied = message.reply_to_message
    if replied is None or replied.from_user is None or replied.from_user.id != bot:
        return None
    sentence, _, rest = (replied.text or "").partition("\n")
    name = _names_by_question().get(sentence)
    if name is None:
        return None
    line = rest.partition("\n")[0].strip()
    found = (QUOTED_JOB_NUMBER if name == "edit" else QUOTED_COMMAND).fullmatch(line)
    if name == "edit" and found is None:
        return None
    return PendingCommand(name, found[1] if found else "")


@cache
def _names_by_question() -> dict[str, str]:
    """Map every question in every language to its command."""
    return {
        messages.translate(f"ask.{name}", language): name
        for name in QUESTION_NAMES
        for language in messages.languages()
    }
