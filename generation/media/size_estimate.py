"""How few bytes a clip can be brought down to: arithmetic, known before anything is painted."""

from __future__ import annotations

import math

from generation.request import Kind, Request

LIMIT_MARGIN = 0.985  # of a limit: servers refuse files that are only just below it
SCALES = (1.0, 0.75, 0.5, 0.375, 0.25)
MIN_SIDE = 64
MIN_FRAME_BYTES = 48  # bytes, below which x264 refuses to start
MIN_AUDIO_BITRATE = 64_000  # bits a second
SIGNATURE_BYTES = 3_500  # bytes a mark takes
_MIN_PIXEL_BYTES = 0.06 / 8  # bytes, below which nothing is worth watching
_CONTAINER_BYTES = 2_600  # of the container, and so much more for each frame and each of sound's 47 a second
_CONTAINER_BYTES_PER_FRAME = 18
_CONTAINER_BYTES_PER_SECOND = 8 * 47
_STATIC_FRAME_BYTES = 20  # bytes of one in which nothing moves
_MIN_STILL_BYTES = 7_000


def smallest_limit(width: int, height: int, frames: int, seconds: float, *, audio: bool) -> int:
    """The smallest limit under which a clip of these measures is worth watching."""
    small_width, small_height = scaled_sizes(width, height)[-1]
    frame = max(MIN_FRAME_BYTES, small_width * small_height * _MIN_PIXEL_BYTES)
    return _limit(frames * frame, frames, seconds if audio else 0.0)


def smallest_limit_for(request: Request) -> int:
    """No clip like this one can be brought under a smaller limit, whatever it shows."""
    if request.kind is Kind.IMAGE:
        return _MIN_STILL_BYTES
    sound = request.seconds if request.music.genre not in {"none", "native"} else 0.0
    return _limit(request.frames * _STATIC_FRAME_BYTES, request.frames, sound)


def _limit(picture_bytes: float, frames: int, audio_seconds: float) -> int:
    index = (
        _CONTAINER_BYTES + _CONTAINER_BYTES_PER_FRAME * frames + _CONTAINER_BYTES_PER_SECOND * audio_seconds
    )
    return math.ceil(
        (picture_bytes + audio_seconds * MIN_AUDIO_BITRATE / 8 + index + SIGNATURE_BYTES) / LIMIT_MARGIN
    )


def scaled_sizes(width: int, height: int) -> list[tuple[int, int]]:
    """The sizes that a picture may be brought down to, largest first; its shape stays."""
    scaled = [(_even(width * scale), _even(height * scale)) for scale in SCALES]
    return [scaled[0], *(size for size in scaled[1:] if min(size) >= MIN_SIDE)]


def _even(side: float) -> int:
    return max(2, round(side / 2) * 2)
