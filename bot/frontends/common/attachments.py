"""What both chats know about attached files before they ask the studio to receive them."""

from __future__ import annotations

from generation.errors import AttachmentRefused

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def check_size(name: str, size: int, limit: int) -> None:
    """Raise AttachmentRefused for a file of more than `limit` bytes, before it is downloaded."""
    if size > limit:
        raise AttachmentRefused(name, "too large")
