"""Music that people send: kept as it came, and opened warily by whoever plays it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from telegram.error import BadRequest

from generation.errors import AttachmentRefused

if TYPE_CHECKING:
    from telegram import Bot, Message

MOST_BYTES = 20_000_000
"""What Telegram's own server hands out to a bot."""


@dataclass(frozen=True, slots=True)
class Sound:
    """Where Telegram keeps it, and what a person would call it."""

    file: str
    name: str
    size: int


def of(message: Message) -> Sound | None:
    """The music of this message or of the one it answers: a song, a voice message, a file."""
    answered = message.reply_to_message
    return own(message) or (own(answered) if answered is not None else None)


def own(message: Message) -> Sound | None:
    song, spoken, document = message.audio, message.voice, message.document
    if song is not None:
        return Sound(song.file_id, song.file_name or song.title or "The song", song.file_size or 0)
    if spoken is not None:
        return Sound(spoken.file_id, "The voice message", spoken.file_size or 0)
    if document is not None and (document.mime_type or "").startswith("audio/"):
        return Sound(document.file_id, document.file_name or "The music", document.file_size or 0)
    return None


async def fetch(sound: Sound, bot: Bot) -> bytes:
    """Raises AttachmentRefused."""
    if sound.size > MOST_BYTES:
        raise AttachmentRefused(sound.name, "too large")
    try:
        file = await bot.get_file(sound.file)
    except BadRequest as error:
        raise AttachmentRefused(sound.name, "not readable") from error
    return bytes(await file.download_as_bytearray())
