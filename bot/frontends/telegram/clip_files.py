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

KINDS = {None, "video/mp4", "image/png", "image/jpeg"}
"""A photo is not among them: Telegram keeps nothing of it but the picture."""
MOST_BYTES = 20 * 10**6  # what Telegram lets a bot fetch


@dataclass(frozen=True, slots=True)
class Film:
    """Where Telegram keeps it, and what a person would call it."""

    file: str
    name: str
    size: int


def of(message: Message) -> Film | None:
    """The clip or still, as a file, of this message or of the one it answers."""
    answered = message.reply_to_message
    return _shown(message) or (_shown(answered) if answered is not None else None)


def _shown(message: Message) -> Film | None:
    for kept in (message.video, message.document):
        if kept is not None and kept.mime_type in KINDS:
            return Film(kept.file_id, kept.file_name or "The clip", kept.file_size or 0)
    return None


async def recipe(film: Film, bot: Bot) -> Request | None:
    """Raises AttachmentRefused. Whoever sent the file wrote what it says."""
    if film.size > MOST_BYTES:
        raise AttachmentRefused(film.name, "too large")
    try:
        file = await bot.get_file(film.file)
    except BadRequest as error:
        raise AttachmentRefused(film.name, "not readable") from error
    return await asyncio.to_thread(_read, bytes(await file.download_as_bytearray()))


def _read(content: bytes) -> Request | None:
    with tempfile.TemporaryDirectory(prefix="matinee-") as folder:
        path = Path(folder) / "clip.mp4"
        path.write_bytes(content)
        return read_recipe(path)
