"""Decode pictures of users: checked by their headers, then the first frame, upright and as RGB."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from generation.errors import AttachmentRefused
from generation.media.format_checks import TOO_MANY_PIXELS, UNREADABLE_IMAGE, check_picture

if TYPE_CHECKING:
    from PIL import Image

IMAGE_FORMATS = ("PNG", "JPEG", "WEBP")
MAX_IMAGE_BYTES = 10 * 2**20
IMAGE_TOO_LARGE = "it is larger than 10 MB"


def decode_picture(path: Path, name: str | None = None) -> Image.Image:
    """The first frame of the file; raises AttachmentRefused with `name`, the user's name of the file."""
    from PIL import Image, ImageOps  # noqa: PLC0415  (heavy)

    name = name or path.name
    try:
        check_picture(path.read_bytes())
        with Image.open(path, formats=IMAGE_FORMATS) as picture:
            picture.seek(0)
            return ImageOps.exif_transpose(picture).convert("RGB")
    except AttachmentRefused as refusal:
        raise AttachmentRefused(name, refusal.reason) from refusal
    except Image.DecompressionBombError as error:
        raise AttachmentRefused(name, TOO_MANY_PIXELS) from error
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise many exception types on a crafted file
        raise AttachmentRefused(name, UNREADABLE_IMAGE) from error


def write_clean_png(source: Path, target: Path) -> tuple[int, int]:
    """Write the picture as a PNG without any metadata; returns its width and height."""
    picture = decode_picture(source)
    picture.save(target, "PNG", compress_level=1)  # the default takes ten times as long
    return picture.size
