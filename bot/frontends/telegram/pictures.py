"""Pictures that people send: decoded safely, first frame only, and written anew."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

from generation.errors import AttachmentRefused
from generation.media.files import write_whole

MOST_BYTES = 10 * 2**20
MOST_PIXELS = 16_000_000


def keep(content: bytes, name: str, target: Path) -> Path:
    """A clean PNG of it; raises AttachmentRefused. Slow: call it in a thread."""
    from PIL import Image, ImageOps, UnidentifiedImageError  # noqa: PLC0415  (only for who sends a picture)

    if len(content) > MOST_BYTES:
        raise AttachmentRefused(name, "it is larger than 10 MB")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "WEBP")) as picture:
                if picture.width * picture.height > MOST_PIXELS:
                    raise AttachmentRefused(name, "it has more than 16 million pixels")
                picture.seek(0)
                clean = ImageOps.exif_transpose(picture).convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise AttachmentRefused(name, "it is no readable PNG, JPEG or WebP picture") from error
    except Image.DecompressionBombWarning as error:
        raise AttachmentRefused(name, "it has more than 16 million pixels") from error
    data = io.BytesIO()
    clean.save(data, "PNG")
    write_whole(target, data.getvalue())
    return target
