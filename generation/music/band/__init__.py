"""The built-in band: arranges a piece and synthesizes it, without weights, exact to the sample."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from generation.clip import Audio
from generation.errors import MusicFailed
from generation.music.band.arrange import arrange
from generation.music.band.mixdown import render_mix
from generation.music.common.genre_tables import Genre, GenreBroken, read_genres
from generation.music.common.registry import music_maker
from generation.progress import OnStep
from generation.request import Music

__all__ = ["Band", "arrange"]


@music_maker("band")
class Band:
    def __init__(self, genres: dict[str, Genre]) -> None:
        self._genres = genres

    @classmethod
    def load(cls, options: dict[str, Any]) -> Self:
        try:
            return cls(read_genres(options.get("genres", {})))
        except GenreBroken as broken:
            raise MusicFailed("band", str(broken)) from broken

    def compose(self, music: Music, samples: int, rate: int, on_step: OnStep) -> Audio:
        if music.genre not in self._genres:
            raise MusicFailed("band", f"no genre {music.genre!r}")
        arrangement = arrange(music, self._genres[music.genre], samples / rate)
        sound = render_mix(arrangement, music.mood, samples, rate, on_step)
        return Audio(np.ascontiguousarray(sound.T, dtype=np.float32), rate)

    def close(self) -> None:
        self._genres = {}
