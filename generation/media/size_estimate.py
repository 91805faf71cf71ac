"""Estimate the smallest size of a clip before it is rendered."""

from __future__ import annotations

import math

from generation.request import Kind, Request

LIMIT_MARGIN = 0.985  # of a limit: servers reject files that are only just below it
SCALES = (1.0, 0.75, 0.5, 0.375, 0.25)
MIN_SIDE = 64
MIN_FRAME_BYTES = 48  # x264 refuses to start with fewer
MIN_AUDIO_BITRATE = 64_000  # bits per second
SIGNATURE_BYTES = 3_500
_MIN_PIXEL_BYTES = 0.06 / 8  # with fewer, the quality is unacceptable
_CONTAINER_BYTES = 2_600  # plus the following per frame and per audio frame, 47 a second
_CONTAINER_BYTES_PER_FRAME = 18
_CONTAINER_BYTES_PER_SECOND = 8 * 47
_STATIC_FRAME_BYTES = 20  # of a frame without motion
_MIN_STILL_BYTES = 7_000


def smallest_limit(width: int, height: int, frames: int, seconds: float, *, audio: bool) -> int:
    """The smallest limit at which a clip of these dimensions has acceptable quality."""
    small_width, small_height = scaled_sizes(width, height)[-1]
    frame = max(MIN_FRAME_BYTES, small_width * small_height * _MIN_PIXEL_BYTES)
    return _limit(frames * frame, frames, seconds if audio else 0.0)


def smallest_limit_for(request: Request) -> int:
    """A lower bound: whatever it shows, this clip fits no smaller limit."""
    if request.kind is Kind.IMAGE:
        return _MIN_STILL_BYTES
    audio_seconds = request.seconds if request.music.genre not in {"none", "native"} else 0.0
    return _limit(request.frames * _STATIC_FRAME_BYTES, request.frames, audio_seconds)


def _limit(picture_bytes: float, frames: int, audio_seconds: float) -> int:
    overhead = (
        _CONTAINER_BYTES + _CONTAINER_BYTES_PER_FRAME * frames + _CONTAINER_BYTES_PER_SECOND * audio_seconds
    )
    return math.ceil(
        (picture_bytes + audio_seconds * MIN_AUDIO_BITRATE / 8 + overhead + SIGNATURE_BYTES) / LIMIT_MARGIN
    )


def scaled_sizes(width: int, height: int) -> list[tuple[int, int]]:
    """The sizes to which a picture may be reduced, largest first, at the same aspect ratio."""
    scaled = [(_even(width * scale), _even(height * scale)) for scale in SCALES]
    return [scaled[0], *(size for size in scaled[1:] if min(size) >= MIN_SIDE)]


def _even(side: float) -> int:
    return max(2, round(side / 2) * 2)
