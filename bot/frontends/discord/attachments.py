"""Attached files: checked by name and size, downloaded, and stored through the shared intake."""

from __future__ import annotations

from pathlib import Path

import discord  # noqa: TC002  (this whole folder is imported only when Discord is)

from bot.frontends.common.attachments import (
    IMAGE_SUFFIXES,
    check_image_size,
    check_size,
    read_attached_recipe,
    save_audio,
    save_image,
)
from generation.errors import AttachmentRefused
from generation.request import Request

MAX_ATTACHMENT_BYTES = 10 * 1024 * 1024
RECIPE_SUFFIXES = (".mp4", ".png", ".jpg", ".jpeg")
"""Kinds of files that Matinee makes, each of which can carry a recipe."""
AUDIO_SUFFIXES = (".mp3", ".wav", ".ogg", ".flac", ".m4a")


async def download_image(attachment: discord.Attachment, folder: Path) -> Path:
    """Store a clean copy of an attached picture; raises AttachmentRefused."""
    _check_suffix(attachment, IMAGE_SUFFIXES)
    check_image_size(attachment.filename, attachment.size)
    return await save_image(await attachment.read(), attachment.filename, folder / f"{attachment.id}.png")


async def download_audio(attachment: discord.Attachment, folder: Path) -> Path:
    """Store attached music; raises AttachmentRefused."""
    suffix = _check_suffix(attachment, AUDIO_SUFFIXES)
    check_size(attachment.filename, attachment.size, MAX_ATTACHMENT_BYTES)
    target = folder / f"{attachment.id}{suffix}"
    return await save_audio(await attachment.read(), attachment.filename, target)


async def download_recipe(attachment: discord.Attachment) -> Request | None:
    """Return the request that an attached clip or picture carries, or None; raises AttachmentRefused."""
    _check_suffix(attachment, RECIPE_SUFFIXES)
    check_size(attachment.filename, attachment.size, MAX_ATTACHMENT_BYTES)
    return await read_attached_recipe(await attachment.read())


def _check_suffix(attachment: discord.Attachment, suffixes: tuple[str, ...]) -> str:
    suffix = next((suffix for suffix in suffixes if attachment.filename.lower().endswith(suffix)), None)
    if suffix is None:
        raise AttachmentRefused(attachment.filename, "wrong kind")
    return suffix
