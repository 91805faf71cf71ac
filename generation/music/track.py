"""Existing music: an attached file, or the operator's library with a subfolder for each genre."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, Self

import numpy as np

from generation.clip import Audio
from generation.errors import MusicFailed
from generation.media.guarded_process import read_sound
from generation.music.common.audio_finish import Waveform, finish_audio, fit_length, loop_to_length
from generation.music.common.beats import find_beats
from generation.music.common.registry import music_maker
from generation.progress import OnStep
from generation.request import Music

__all__ = ["Track"]

KINDS = {".mp3", ".m4a", ".aac", ".flac", ".ogg", ".opus", ".wav"}


@music_maker("track")
class Track:
    def __init__(self, library: Path | None) -> None:
        self._library = library

    @classmethod
    def load(cls, options: dict[str, Any]) -> Self:
        folder = options.get("library")
        return cls(Path(folder) if folder else None)

    def compose(self, music: Music, samples: int, rate: int, on_step: OnStep) -> Audio:
        on_step(0, 2)
        whole = read_sound(Path(music.track) if music.track else self._library_file(music))
        on_step(1, 2)
        wanted = -(-samples * whole.rate // rate)
        cut = cut_passage(whole.samples, whole.rate, wanted)
        result = finish_audio(cut, whole.rate, samples, rate, fade_out=1.2)
        on_step(2, 2)
        return result

    def _library_file(self, music: Music) -> Path:
        if self._library is None:
            raise MusicFailed("track", "no library folder is set and no file was attached")
        for folder in (self._library / music.genre, self._library):
            files = sorted(file for file in folder.glob("*") if file.suffix.lower() in KINDS)
            if files:
                return random.Random(music.seed).choice(files)  # noqa: S311  (music, not secrets)
        raise MusicFailed("track", f"no music for {music.genre!r} in the library folder")

    def close(self) -> None:
        pass


def cut_passage(sound: Waveform, rate: int, samples: int) -> Waveform:
    """Cut from the first beat at the usual loudness of the piece; loop on a beat if it is too short."""
    times = find_beats(sound, rate)
    start = _start_sample(sound, rate, times)
    rest = sound[start:]
    if len(rest) >= samples:
        return rest[:samples]
    if len(sound) >= samples:
        return sound[-samples:]
    overlap = rate // 50
    if len(times) > 4:
        length = round((times[-1] - start / rate) * rate)
        if length > rate:
            rest = rest[: length + overlap]
    return fit_length(loop_to_length(rest, samples, overlap), samples)


def _start_sample(sound: Waveform, rate: int, times: np.ndarray[tuple[int], np.dtype[np.float64]]) -> int:
    block = rate // 10
    whole = len(sound) // block * block
    if not whole:
        return 0
    loud = np.sqrt((sound[:whole] ** 2).mean(axis=1).reshape(-1, block).mean(axis=1))
    usual = np.median(loud[loud > 0.02 * loud.max()]) if loud.any() else 0.0
    first = int((loud >= 0.6 * usual).argmax()) * block
    near = times[times >= first / rate - 0.06]
    return max(0, round(near[0] * rate) - rate // 100) if len(near) else first
