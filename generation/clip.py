"""What a render yields: frames and a score in memory, then a clip on disk."""

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
    """Sound in memory: float32 samples (n, channels) within -1..1."""

    samples: NDArray[np.float32]
    rate: int

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate


@dataclass(frozen=True, slots=True)
class Frames:
    """Pictures in memory: uint8 RGB (frames, height, width, 3); `audio` is a joint model's own sound.

    The first `carried` of them are those that an extended clip goes on from.
    """

    pixels: NDArray[np.uint8]
    fps: float
    audio: Audio | None = None
    overlap: int = 0

    @property
    def seconds(self) -> float:
        return len(self.pixels) / self.fps


class Clip(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A finished, checked, marked file and its facts."""

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
