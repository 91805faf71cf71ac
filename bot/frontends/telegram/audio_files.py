"""Music that people send: kept as it came, and opened warily by whoever plays it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from telegram.error import BadRequest

from generation.errors import AttachmentRefused

if TYPE_CHECKING:
    from telegram import Bot, Message

MAX_BYTES = 20_000_000
"""What Telegram's own server hands out to a bot."""


@dataclass(frozen=True, slots=True)
class AudioFile:
    """Where Telegram keeps it, and what a person would call it."""

    file_id: str
    name: str
    size: int


def find_audio(message: Message) -> AudioFile | None:
    """The music of this message or of the one it answers: a song, a voice message, a file."""
    answered = message.reply_to_message
    return attached_audio(message) or (attached_audio(answered) if answered is not None else None)


def attached_audio(message: Message) -> AudioFile | None:
    song, voice_message, document = message.audio, message.voice, message.document
    if song is not None:
        return AudioFile(song.file_id, song.file_name or song.title or "The song", song.file_size or 0)
    if voice_message is not None:
        return AudioFile(voice_message.file_id, "The voice message", voice_message.file_size or 0)
    if document is not None and (document.mime_type or "").startswith("audio/"):
        return AudioFile(document.file_id, document.file_name or "The music", document.file_size or 0)
    return None


async def fetch(audio: AudioFile, bot: Bot) -> bytes:
    """Raises AttachmentRefused."""
    if audio.size > MAX_BYTES:
        raise AttachmentRefused(audio.name, "too large")
    try:
        file = await bot.get_file(audio.file_id)
    except BadRequest as error:
        raise AttachmentRefused(audio.name, "not readable") from error
    return bytes(await file.download_as_bytearray())
