"""What a command still lacks is asked for in one message, and the answer to that message completes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from telegram import ForceReply

from bot.i18n import messages

if TYPE_CHECKING:
    from telegram import Message

NAMES = ("video", "image", "animate", "edit")
COMMAND, NUMBER = re.compile(r"/\w+\s+(.+)"), re.compile(r"#(\d+)")
PLACEHOLDER_LIMIT = 64


@dataclass(frozen=True, slots=True)
class Note:
    """The unfinished command; it stands in the question itself, so nothing need be remembered."""

    name: str
    words: str = ""

    def __str__(self) -> str:
        if self.name == "edit":
            return f"#{self.words}"
        return f"/{self.name} {self.words}" if self.words else ""


def question(note: Note, language: str) -> str:
    return f"{messages.words(f'ask.{note.name}', language)}\n{note}".strip()


def field(language: str) -> ForceReply:
    """Opens the answer for whoever was asked."""
    return ForceReply(
        selective=True, input_field_placeholder=messages.words("example", language)[:PLACEHOLDER_LIMIT]
    )


def answered(message: Message, bot: int) -> Note | None:
    """What the message completes, if it answers a question of ours."""
    asked = message.reply_to_message
    if asked is None or asked.from_user is None or asked.from_user.id != bot:
        return None
    sentence, _, rest = (asked.text or "").partition("\n")
    name = _sentences().get(sentence)
    if name is None:
        return None
    line = rest.partition("\n")[0].strip()
    found = (NUMBER if name == "edit" else COMMAND).fullmatch(line)
    if name == "edit" and found is None:
        return None
    return Note(name, found[1] if found else "")


@cache
def _sentences() -> dict[str, str]:
    """Every question in every language, and what it is about."""
    return {
        messages.words(f"ask.{name}", language): name for name in NAMES for language in messages.languages()
    }
