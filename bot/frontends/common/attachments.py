"""Files that users attach: checked for size, stored under a name of our own, decoded safely."""

from __future__ import annotations

import asyncio
import io
import tempfile
import warnings
from pathlib import Path

from generation.errors import AttachmentRefused
from generation.media.files import write_atomically
from generation.media.provenance import read_recipe
from generation.music.common.audio_decode import check_audio_file
from generation.request import Request

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
IMAGE_FORMATS = ("PNG", "JPEG", "WEBP")
MAX_IMAGE_BYTES = 10 * 2**20
MAX_IMAGE_PIXELS = 16_000_000
IMAGE_TOO_LARGE = "it is larger than 10 MB"
TOO_MANY_PIXELS = "it has more than 16 million pixels"
IMAGE_UNREADABLE = "it is no readable PNG, JPEG or WebP picture"


def check_size(name: str, size: int, limit: int) -> None:
    """Raise AttachmentRefused for a file of more than `limit` bytes, before it is downloaded."""
    if size > limit:
        raise AttachmentRefused(name, "too large")


def check_image_size(name: str, size: int) -> None:
    if size > MAX_IMAGE_BYTES:
        raise AttachmentRefused(name, IMAGE_TOO_LARGE)


async def save_image(content: bytes, name: str, target: Path) -> Path:
    """Store a clean PNG of an attached picture; raises AttachmentRefused. `name` is the user's."""
    check_image_size(name, len(content))
    return await asyncio.to_thread(_save_image, content, name, target.absolute())  # noqa: ASYNC240  (reads no disk)


async def save_audio(content: bytes, name: str, target: Path) -> Path:
    """Store attached music, and check that it can be decoded; raises AttachmentRefused."""
    return await asyncio.to_thread(_save_audio, content, name, target.absolute())  # noqa: ASYNC240  (as above)


async def read_attached_recipe(content: bytes) -> Request | None:
    """Return the request that a clip or picture of ours carries, or None. Anybody can have written it."""
    return await asyncio.to_thread(_read_recipe, content)


def _save_image(content: bytes, name: str, target: Path) -> Path:
    write_atomically(target, _clean_png(content, name))
    return target


def _save_audio(content: bytes, name: str, target: Path) -> Path:
    write_atomically(target, content)
    check_audio_file(target, name)
    return target


def _read_recipe(content: bytes) -> Request | None:
    with tempfile.TemporaryDirectory(prefix="matinee-") as folder:
        path = Path(folder) / "clip"
        path.write_bytes(content)
        return read_recipe(path)


def _clean_png(content: bytes, name: str) -> bytes:
    """Decode the first frame, turn it upright and encode it without any metadata."""
    from PIL import Image, ImageOps, UnidentifiedImageError  # noqa: PLC0415  (only needed once a user sends a picture)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=IMAGE_FORMATS) as opened:
                if opened.width * opened.height > MAX_IMAGE_PIXELS:
                    raise AttachmentRefused(name, TOO_MANY_PIXELS)
                opened.seek(0)
                clean = ImageOps.exif_transpose(opened).convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise AttachmentRefused(name, IMAGE_UNREADABLE) from error
    except Image.DecompressionBombWarning as error:
        raise AttachmentRefused(name, TOO_MANY_PIXELS) from error
    data = io.BytesIO()
    clean.save(data, "PNG")
    return data.getvalue()
