"""Pictures that people send: decoded safely, first frame only, and written anew."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from telegram.error import BadRequest

from generation.errors import AttachmentRefused
from generation.media.files import write_whole

if TYPE_CHECKING:
    from telegram import Bot, Message

MOST_BYTES = 10 * 2**20
MOST_PIXELS = 16_000_000
KINDS = frozenset({"image/png", "image/jpeg", "image/webp"})


@dataclass(frozen=True, slots=True)
class Picture:
    """Where Telegram keeps it, and what a person would call it."""

    file: str
    name: str
    size: int


def of(message: Message) -> Picture | None:
    """The picture of this message or of the one it answers: a photo, a file, a sticker that stands still."""
    answered = message.reply_to_message
    return _shown(message) or (_shown(answered) if answered is not None else None)


def _shown(message: Message) -> Picture | None:
    if message.photo:
        largest = message.photo[-1]
        return Picture(largest.file_id, "The photo", largest.file_size or 0)
    document, sticker = message.document, message.sticker
    if document is not None and document.mime_type in KINDS:
        return Picture(document.file_id, document.file_name or "The picture", document.file_size or 0)
    if sticker is not None and not (sticker.is_animated or sticker.is_video):
        return Picture(sticker.file_id, "The sticker", sticker.file_size or 0)
    return None


async def fetch(picture: Picture, bot: Bot) -> bytes:
    """Raises AttachmentRefused."""
    if picture.size > MOST_BYTES:
        raise AttachmentRefused(picture.name, "it is larger than 10 MB")
    try:
        file = await bot.get_file(picture.file)
    except BadRequest as error:
        raise AttachmentRefused(picture.name, "not readable") from error
    return bytes(await file.download_as_bytearray())


def keep(content: bytes, name: str, target: Path) -> Path:
    """A clean PNG of it; raises AttachmentRefused. Slow: call it in a thread."""
    from PIL import Image, ImageOps, UnidentifiedImageError  # noqa: PLC0415  (only for who sends a picture)

    if len(content) > MOST_BYTES:
        raise AttachmentRefused(name, "it is larger than 10 MB")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "WEBP")) as picture:
                if picture.width * picture.height > MOST_PIXELS:
                    raise AttachmentRefused(name, "it has more than 16 million pixels")
                picture.seek(0)
                clean = ImageOps.exif_transpose(picture).convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise AttachmentRefused(name, "it is no readable PNG, JPEG or WebP picture") from error
    except Image.DecompressionBombWarning as error:
        raise AttachmentRefused(name, "it has more than 16 million pixels") from error
    data = io.BytesIO()
    clean.save(data, "PNG")
    write_whole(target, data.getvalue())
    return target
