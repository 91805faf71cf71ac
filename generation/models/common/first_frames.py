"""The pictures that a clip starts from: an attached picture, or frames of its source clip."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from generation.media.guarded_process import read_frames, read_picture
from generation.request import Kind

if TYPE_CHECKING:
    from PIL import Image

    from generation.request import Request

SOURCE_FRAMES = 9
"""Frames that an extension takes from its source: two latent frames, where a family supports it."""


def first_frames(
    request: Request, width: int, height: int, *, source_frames: int = SOURCE_FRAMES
) -> list[Image.Image]:
    """Pictures of exactly this size; none for a request with only a prompt."""
    from PIL import Image, ImageOps  # noqa: PLC0415  (heavy)

    found: list[Image.Image] = []
    if request.image is not None:
        found = [read_picture(Path(request.image))]
    elif request.kind is Kind.EXTEND and request.source is not None:
        found = last_frames(Path(request.source), source_frames)
    elif request.kind is Kind.BIGGER and request.source is not None:
        found = last_frames(Path(request.source), request.frames)[:1]
    return [ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS) for picture in found]


def last_frames(path: Path, count: int) -> list[Image.Image]:
    from PIL import Image  # noqa: PLC0415  (heavy)

    return [Image.fromarray(frame) for frame in read_frames(path, last=count).pixels]
