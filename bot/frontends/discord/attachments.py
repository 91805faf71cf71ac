"""Files that people attach: fetched within bounds, kept in the data folder, named by us."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import discord  # noqa: TC002  (this whole folder is imported only when Discord is)

from generation.errors import AttachmentRefused
from generation.media.files import write_atomically
from generation.media.provenance import read_recipe
from generation.request import Request

MAX_ATTACHMENT_BYTES = 10 * 1024 * 1024
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
RECIPE_SUFFIXES = (".mp4", ".png", ".jpg", ".jpeg")
"""What Matinee makes, and what may tell its recipe."""
AUDIO_SUFFIXES = (".mp3", ".wav", ".ogg", ".flac", ".m4a")


async def download_attachment(
    attachment: discord.Attachment, folder: Path, suffixes: tuple[str, ...]
) -> Path:
    """Raises AttachmentRefused. Nothing is opened here: the makers of pictures and music do that, warily."""
    ending = next((e for e in suffixes if attachment.filename.lower().endswith(e)), None)
    if ending is None:
        raise AttachmentRefused(attachment.filename, "wrong kind")
    if attachment.size > MAX_ATTACHMENT_BYTES:
        raise AttachmentRefused(attachment.filename, "too large")
    data = await attachment.read()
    path = folder / f"{attachment.id}{ending}"
    await asyncio.to_thread(write_atomically, path, data)
    return path.absolute()


async def read_attached_recipe(attachment: discord.Attachment) -> Request | None:
    """What a clip tells of how it was made, if it does. Raises AttachmentRefused."""
    with tempfile.TemporaryDirectory(prefix="matinee-") as folder:
        return await asyncio.to_thread(
            read_recipe, await download_attachment(attachment, Path(folder), RECIPE_SUFFIXES)
        )
