"""Attached files: checked by name and size, and received through the studio."""

from __future__ import annotations

import discord  # noqa: TC002  (this whole folder is imported only when Discord is)

from bot.frontends.common.attachments import IMAGE_SUFFIXES, check_size
from bot.studio.studio import Studio, Viewer
from bot.studio.uploads import Intake
from generation.errors import AttachmentRefused
from generation.request import Request

RECIPE_SUFFIXES = (".mp4", ".png", ".jpg", ".jpeg")
"""Kinds of files that Matinee makes, each of which can carry a recipe."""
AUDIO_SUFFIXES = (".mp3", ".wav", ".ogg", ".flac", ".m4a")


async def receive_image(attachment: discord.Attachment, intake: Intake) -> str:
    """Store a clean copy of an attached picture and return its path; raises as Intake."""
    _check_suffix(attachment, IMAGE_SUFFIXES)
    return await intake.picture(attachment.filename, attachment.size, attachment.read)


async def receive_audio(attachment: discord.Attachment, intake: Intake, *, limit: int) -> str:
    """Store attached music of at most `limit` bytes and return its path; raises as Intake."""
    suffix = _check_suffix(attachment, AUDIO_SUFFIXES)
    check_size(attachment.filename, attachment.size, limit)
    return await intake.sound(attachment.filename, attachment.size, attachment.read, suffix=suffix)


async def read_recipe(
    attachment: discord.Attachment, studio: Studio, viewer: Viewer, *, limit: int
) -> Request | None:
    """Return the request that an attached clip or picture carries, or None; raises as Uploads."""
    _check_suffix(attachment, RECIPE_SUFFIXES)
    check_size(attachment.filename, attachment.size, limit)
    return await studio.read_attached_recipe(attachment.filename, attachment.size, attachment.read, viewer)


def _check_suffix(attachment: discord.Attachment, suffixes: tuple[str, ...]) -> str:
    suffix = next((suffix for suffix in suffixes if attachment.filename.lower().endswith(suffix)), None)
    if suffix is None:
        raise AttachmentRefused(attachment.filename, "wrong kind")
    return suffix
