"""What a command still lacks is asked for in one message, and the answer to that message completes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from telegram import ForceReply

from bot import messages

if TYPE_CHECKING:
    from telegram import Message

NAMES = ("video", "image", "animate", "edit")
NOTE = re.compile(rf"/({'|'.join(NAMES)})(?:\s+(.*))?", re.DOTALL)
PLACEHOLDER_LIMIT = 64


@dataclass(frozen=True, slots=True)
class Note:
    """The unfinished command; it stands in the question itself, so nothing need be remembered."""

    name: str
    words: str = ""

    def __str__(self) -> str:
        return f"/{self.name} {self.words}".strip()


def question(note: Note, language: str) -> str:
    return f"{messages.words(f'ask.{note.name}', language)}\n{note}"


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
    sentence, _, line = (asked.text or "").partition("\n")
    found = NOTE.fullmatch(line.split("\n")[0])
    if found is None or sentence not in _sentences(found[1]):
        return None
    return Note(found[1], (found[2] or "").strip())


@cache
def _sentences(name: str) -> frozenset[str]:
    return frozenset(messages.words(f"ask.{name}", language) for language in messages.languages())
