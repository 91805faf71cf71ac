"""How few bytes a clip can be brought down to: arithmetic, known before anything is painted."""

from __future__ import annotations

import math

from generation.request import Kind, Request

ROOM = 0.985  # of a limit: servers refuse files that are only just below it
SCALES = (1.0, 0.75, 0.5, 0.375, 0.25)
LEAST_SIDE = 64
LEAST_FRAME = 48  # bytes, below which x264 refuses to start
LEAST_SOUND = 64_000  # bits a second
SEAL = 3_500  # bytes a mark takes
_LEAST_PIXEL = 0.06 / 8  # bytes, below which nothing is worth watching
_INDEX = 2_600  # of the container, and so much more for each frame and each of sound's 47 a second
_INDEX_FRAME = 18
_INDEX_SOUND = 8 * 47
_STANDING_FRAME = 20  # bytes of one in which nothing moves
_STILL = 7_000


def floor(width: int, height: int, frames: int, seconds: float, *, sound: bool) -> int:
    """The smallest limit under which a clip of these measures is worth watching."""
    small_width, small_height = sizes(width, height)[-1]
    frame = max(LEAST_FRAME, small_width * small_height * _LEAST_PIXEL)
    return _limit(frames * frame, frames, seconds if sound else 0.0)


def floor_of(request: Request) -> int:
    """No clip like this one can be brought under a smaller limit, whatever it shows."""
    if request.kind is Kind.IMAGE:
        return _STILL
    sound = request.seconds if request.music.genre not in {"none", "native"} else 0.0
    return _limit(request.frames * _STANDING_FRAME, request.frames, sound)


def _limit(picture: float, frames: int, seconds_heard: float) -> int:
    index = _INDEX + _INDEX_FRAME * frames + _INDEX_SOUND * seconds_heard
    return math.ceil((picture + seconds_heard * LEAST_SOUND / 8 + index + SEAL) / ROOM)


def sizes(width: int, height: int) -> list[tuple[int, int]]:
    """The sizes that a picture may be brought down to, largest first; its shape stays."""
    scaled = [(_even(width * scale), _even(height * scale)) for scale in SCALES]
    return [scaled[0], *(size for size in scaled[1:] if min(size) >= LEAST_SIDE)]


def _even(side: float) -> int:
    return max(2, round(side / 2) * 2)
