"""What a render yields: frames and a score in memory, then a clip on disk."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Score:
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
    audio: Score | None = None
    carried: int = 0

    @property
    def seconds(self) -> float:
        return len(self.pixels) / self.fps


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
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
        return {k: str(v) if isinstance(v, Path) else v for k, v in asdict(self).items()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Clip:
        paths = {k: Path(data[k]) if data.get(k) else None for k in ("poster", "sheet")}
        return cls(**{**data, **paths, "path": Path(data["path"])})
