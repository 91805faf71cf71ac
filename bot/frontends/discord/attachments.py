"""Files that people attach: fetched within bounds, kept in the data folder, named by us."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import discord  # noqa: TC002  (this whole folder is imported only when Discord is)

from generation.errors import AttachmentRefused
from generation.media.files import write_whole
from generation.media.provenance import read_recipe
from generation.request import Request

MOST = 10 * 1024 * 1024
PICTURES = (".png", ".jpg", ".jpeg", ".webp")
TELLING = (".mp4", ".png", ".jpg", ".jpeg")
"""What Matinee makes, and what may tell its recipe."""
SOUNDS = (".mp3", ".wav", ".ogg", ".flac", ".m4a")


async def fetch(attachment: discord.Attachment, folder: Path, endings: tuple[str, ...]) -> Path:
    """Raises AttachmentRefused. Nothing is opened here: the makers of pictures and music do that, warily."""
    ending = next((e for e in endings if attachment.filename.lower().endswith(e)), None)
    if ending is None:
        raise AttachmentRefused(attachment.filename, "wrong kind")
    if attachment.size > MOST:
        raise AttachmentRefused(attachment.filename, "too large")
    data = await attachment.read()
    path = folder / f"{attachment.id}{ending}"
    await asyncio.to_thread(write_whole, path, data)
    return path.absolute()


async def recipe(attachment: discord.Attachment) -> Request | None:
    """What a clip tells of how it was made, if it does. Raises AttachmentRefused."""
    with tempfile.TemporaryDirectory(prefix="matinee-") as folder:
        return await asyncio.to_thread(read_recipe, await fetch(attachment, Path(folder), TELLING))
