"""Encode a still picture as a JPEG that fits a chat's upload limit."""

from __future__ import annotations

import io
from pathlib import Path

from msgspec import structs
from PIL import Image

from generation.clip import Clip
from generation.errors import CannotFit, EncodeFailed
from generation.media import provenance
from generation.media.files import explain_os_error, rename_durably
from generation.media.image_metadata import with_metadata
from generation.media.signing_identity import Identity

_QUALITIES = (95, 90, 80, 70)
_SCALES = (1.0, 0.75, 0.5, 0.25)
_SIGNATURE_BYTES = 6_000


def fit_still(clip: Clip, limit: int, identity: Identity | None) -> Clip:
    """The best JPEG that is small enough, signed like the original."""
    target = clip.path.with_name(f"{clip.path.stem}.fit-{limit}.jpg")
    max_bytes, data = limit - (_SIGNATURE_BYTES if identity else 0), b""
    try:
        with Image.open(clip.path, formats=("PNG", "JPEG")) as opened:
            picture = opened.convert("RGB")
        for scale in _SCALES:
            for quality in _QUALITIES:
                size, data = _jpeg(picture, scale, quality)
                if len(data) <= max_bytes:
                    return _save(clip, target, data, size, identity)
    except OSError as error:
        if error.errno is None:  # raised by Pillow for a damaged picture
            raise EncodeFailed("fit", str(error)) from error
        raise explain_os_error(error, target.parent, "fit") from error
    raise CannotFit(limit, len(data) + limit - max_bytes)


def _jpeg(picture: Image.Image, scale: float, quality: int) -> tuple[tuple[int, int], bytes]:
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    data = io.BytesIO()
    picture.resize(size, Image.Resampling.LANCZOS).save(data, "JPEG", quality=quality, optimize=True)
    return size, data.getvalue()


def _save(clip: Clip, target: Path, data: bytes, size: tuple[int, int], identity: Identity | None) -> Clip:
    part = target.with_name(target.name + ".part")
    try:
        model = provenance.verify(clip.path).model or "unknown"
        part.write_bytes(with_metadata(data, provenance.ai_label_tags(model)))
        if identity is not None:
            provenance.sign_file(part, identity=identity, model=model)
        rename_durably(part, target)
    finally:
        part.unlink(missing_ok=True)
    return structs.replace(clip, path=target, width=size[0], height=size[1], size=target.stat().st_size)
