"""Results of a render: frames and audio in memory, then a clip on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import structs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Audio:
    """Audio in memory: float32 samples of shape (n, channels), from -1 to 1."""

    samples: NDArray[np.float32]
    rate: int

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames in memory: uint8 RGB of shape (frames, height, width, 3).

    `audio` is the sound of a model that generates both. The first `overlap` frames repeat the end of the clip
    that is extended.
    """

    pixels: NDArray[np.uint8]
    fps: float
    audio: Audio | None = None
    overlap: int = 0

    @property
    def seconds(self) -> float:
        return len(self.pixels) / self.fps


class Clip(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A finished, verified and signed file and its properties."""

    path: Path
    width: int
    height: int
    fps: float
    frames: int
    seconds: float
    size: int
    audio: bool
    poster: Path | None = None
    sheet: Path | None = None

    def to_json(self) -> dict[str, Any]:
        plain: dict[str, Any] = msgspec.to_builtins(structs.asdict(self), enc_hook=str)
        return plain

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Clip:
        return msgspec.convert(data, cls, dec_hook=lambda kind, text: kind(text))
