"""Pictures that people send: decoded safely, first frame only, and written anew."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from telegram.error import BadRequest

from generation.errors import AttachmentRefused
from generation.media.files import write_atomically

if TYPE_CHECKING:
    from telegram import Bot, Message

MAX_BYTES = 10 * 2**20
MAX_PIXELS = 16_000_000
MIME_TYPES = frozenset({"image/png", "image/jpeg", "image/webp"})


@dataclass(frozen=True, slots=True)
class ImageFile:
    """Where Telegram keeps it, and what a person would call it."""

    file_id: str
    name: str
    size: int


def find_image(message: Message) -> ImageFile | None:
    """The picture of this message or of the one it answers: a photo, a file, a sticker that stands still."""
    answered = message.reply_to_message
    return _attached_image(message) or (_attached_image(answered) if answered is not None else None)


def _attached_image(message: Message) -> ImageFile | None:
    if message.photo:
        largest = message.photo[-1]
        return ImageFile(largest.file_id, "The photo", largest.file_size or 0)
    document, sticker = message.document, message.sticker
    if document is not None and document.mime_type in MIME_TYPES:
        return ImageFile(document.file_id, document.file_name or "The picture", document.file_size or 0)
    if sticker is not None and not (sticker.is_animated or sticker.is_video):
        return ImageFile(sticker.file_id, "The sticker", sticker.file_size or 0)
    return None


async def fetch(image: ImageFile, bot: Bot) -> bytes:
    """Raises AttachmentRefused."""
    if image.size > MAX_BYTES:
        raise AttachmentRefused(image.name, "it is larger than 10 MB")
    try:
        file = await bot.get_file(image.file_id)
    except BadRequest as error:
        raise AttachmentRefused(image.name, "not readable") from error
    return bytes(await file.download_as_bytearray())


def save_clean_png(content: bytes, name: str, target: Path) -> Path:
    """A clean PNG of it; raises AttachmentRefused. Slow: call it in a thread."""
    from PIL import Image, ImageOps, UnidentifiedImageError  # noqa: PLC0415  (only for who sends a picture)

    if len(content) > MAX_BYTES:
        raise AttachmentRefused(name, "it is larger than 10 MB")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "WEBP")) as opened:
                if opened.width * opened.height > MAX_PIXELS:
                    raise AttachmentRefused(name, "it has more than 16 million pixels")
                opened.seek(0)
                clean = ImageOps.exif_transpose(opened).convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise AttachmentRefused(name, "it is no readable PNG, JPEG or WebP picture") from error
    except Image.DecompressionBombWarning as error:
        raise AttachmentRefused(name, "it has more than 16 million pixels") from error
    data = io.BytesIO()
    clean.save(data, "PNG")
    write_atomically(target, data.getvalue())
    return target
