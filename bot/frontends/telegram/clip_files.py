"""Clips that people send or answer: read for the recipe that one of ours may carry."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from telegram.error import BadRequest

from generation.errors import AttachmentRefused
from generation.media.provenance import read_recipe

if TYPE_CHECKING:
    from telegram import Bot, Message

    from generation.request import Request

MIME_TYPES = {None, "video/mp4", "image/png", "image/jpeg"}
"""A photo is not among them: Telegram keeps nothing of it but the picture."""
MAX_BYTES = 20 * 10**6  # what Telegram lets a bot fetch


@dataclass(frozen=True, slots=True)
class ClipFile:
    """Where Telegram keeps it, and what a person would call it."""

    file_id: str
    name: str
    size: int


def find_clip_file(message: Message) -> ClipFile | None:
    """The clip or still, as a file, of this message or of the one it answers."""
    answered = message.reply_to_message
    return _attached_clip_file(message) or (_attached_clip_file(answered) if answered is not None else None)


def _attached_clip_file(message: Message) -> ClipFile | None:
    for attachment in (message.video, message.document):
        if attachment is not None and attachment.mime_type in MIME_TYPES:
            return ClipFile(attachment.file_id, attachment.file_name or "The clip", attachment.file_size or 0)
    return None


async def fetch_recipe(clip_file: ClipFile, bot: Bot) -> Request | None:
    """Raises AttachmentRefused. Whoever sent the file wrote what it says."""
    if clip_file.size > MAX_BYTES:
        raise AttachmentRefused(clip_file.name, "too large")
    try:
        file = await bot.get_file(clip_file.file_id)
    except BadRequest as error:
        raise AttachmentRefused(clip_file.name, "not readable") from error
    return await asyncio.to_thread(_read_recipe, bytes(await file.download_as_bytearray()))


def _read_recipe(content: bytes) -> Request | None:
    with tempfile.TemporaryDirectory(prefix="matinee-") as folder:
        path = Path(folder) / "clip.mp4"
        path.write_bytes(content)
        return read_recipe(path)
