"""Find files in a message or in the one it replies to, and download them from Telegram."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from telegram.error import BadRequest

from bot.frontends.common.attachments import check_size
from bot.studio.uploads import Fetch
from generation.errors import AttachmentRefused

if TYPE_CHECKING:
    from telegram import Bot, Message

MAX_BYTES = 20_000_000
"""The largest file that Telegram's own server gives to a bot."""
IMAGE_MIME_TYPES = frozenset({"image/png", "image/jpeg", "image/webp"})
CLIP_MIME_TYPES = frozenset({None, "video/mp4", "image/png", "image/jpeg"})
"""What can carry a recipe. A photo cannot: Telegram keeps only its pixels."""


@dataclass(frozen=True, slots=True)
class AttachedFile:
    """A file on Telegram's server, with a name to show to the user."""

    file_id: str
    name: str
    size: int


def find_image(message: Message) -> AttachedFile | None:
    """Return the picture of this message or of the one it replies to: a photo, a file or a static sticker."""
    return _find(message, _attached_image)


def find_audio(message: Message) -> AttachedFile | None:
    """Return the audio of this message or of the one it replies to: a song, a voice message or a file."""
    return _find(message, attached_audio)


def find_clip(message: Message) -> AttachedFile | None:
    """Return the clip or picture file of this message or of the one it replies to."""
    return _find(message, _attached_clip)


def attached_audio(message: Message) -> AttachedFile | None:
    song, voice_message, document = message.audio, message.voice, message.document
    if song is not None:
        return AttachedFile(song.file_id, song.file_name or song.title or "The song", song.file_size or 0)
    if voice_message is not None:
        return AttachedFile(voice_message.file_id, "The voice message", voice_message.file_size or 0)
    if document is not None and (document.mime_type or "").startswith("audio/"):
        return AttachedFile(document.file_id, document.file_name or "The music", document.file_size or 0)
    return None


def fetch(file: AttachedFile, bot: Bot) -> Fetch:
    """What downloads the file, once that is permitted; raises AttachmentRefused if Telegram never would."""
    check_size(file.name, file.size, MAX_BYTES)
    return partial(_download, file, bot)


async def _download(file: AttachedFile, bot: Bot) -> bytes:
    try:
        found = await bot.get_file(file.file_id)
    except BadRequest as error:
        raise AttachmentRefused(file.name, "not readable") from error
    return bytes(await found.download_as_bytearray())


def _find(message: Message, attached: Callable[[Message], AttachedFile | None]) -> AttachedFile | None:
    replied = message.reply_to_message
    return attached(message) or (attached(replied) if replied is not None else None)


def _attached_image(message: Message) -> AttachedFile | None:
    if message.photo:
        largest = message.photo[-1]
        return AttachedFile(largest.file_id, "The photo", largest.file_size or 0)
    document, sticker = message.document, message.sticker
    if document is not None and document.mime_type in IMAGE_MIME_TYPES:
        return AttachedFile(document.file_id, document.file_name or "The picture", document.file_size or 0)
    if sticker is not None and not (sticker.is_animated or sticker.is_video):
        return AttachedFile(sticker.file_id, "The sticker", sticker.file_size or 0)
    return None


def _attached_clip(message: Message) -> AttachedFile | None:
    for attachment in (message.video, message.document):
        if attachment is not None and attachment.mime_type in CLIP_MIME_TYPES:
            return AttachedFile(
                attachment.file_id, attachment.file_name or "The clip", attachment.file_size or 0
            )
    return None
