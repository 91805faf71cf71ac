"""The pictures that a clip starts from: an attached picture, or frames of its source clip."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from generation.errors import AttachmentRefused
from generation.media.picture_decode import decode_picture
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
        found = [decode_picture(Path(request.image))]
    elif request.kind is Kind.EXTEND and request.source is not None:
        found = last_frames(Path(request.source), source_frames)
    elif request.kind is Kind.BIGGER and request.source is not None:
        found = last_frames(Path(request.source), request.frames)[:1]
    return [ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS) for picture in found]


def last_frames(path: Path, count: int) -> list[Image.Image]:
    import av  # noqa: PLC0415  (heavy)
    from PIL import Image  # noqa: PLC0415  (heavy)

    try:
        with av.open(str(path), format="mp4") as clip:
            return [
                Image.fromarray(frame.to_ndarray(format="rgb24"))
                for frame in deque(clip.decode(video=0), maxlen=count)
            ]
    except (av.FFmpegError, OSError, IndexError) as error:
        raise AttachmentRefused(path.name, "not a clip") from error
