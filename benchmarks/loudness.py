"""Are all finished clips equally loud, and is none too loud? Ten genres, four lengths."""

from __future__ import annotations

import asyncio
import tempfile
import tomllib
from pathlib import Path

import numpy as np

from benchmarks.report import Report
from generation.clip import Frames
from generation.media.ffmpeg import find
from generation.media.loudness_meter import Loudness, measure
from generation.media.mux import mux
from generation.music.common.genre_tables import read_genres
from generation.music.common.music_choice import choose_music
from generation.music.common.registry import load
from generation.request import MusicWish

GENRES = (
    "lofi", "pop", "rock", "jazz", "classical", "ambient", "electronic", "chiptune", "metal", "synthwave",
)  # fmt: skip
LENGTHS = (1.0, 3.0, 5.0, 10.0)
RATE, FPS = 48_000, 12


async def measure_clips(folder: Path) -> dict[tuple[str, float], Loudness]:
    data = tomllib.loads((Path(__file__).parents[1] / "config" / "genres.toml").read_text(encoding="utf-8"))
    genres, band, ffmpeg = read_genres(data), load("band", {"genres": data}), find()
    measured = {}
    for name in GENRES:
        for seconds in LENGTHS:
            wish = MusicWish(genre=name)
            music, _ = choose_music(wish, "a bowl", seconds=seconds, genres=genres, maker="band", seed=5)
            audio = band.compose(music, round(seconds * RATE), RATE, lambda _done, _total: None)
            frames = Frames(np.full((round(seconds * FPS), 32, 32, 3), 90, np.uint8), FPS)
            clip = await mux(frames, audio, folder / f"{name}-{seconds:g}.mp4", ffmpeg=ffmpeg)
            measured[name, seconds] = await measure(clip.path)
    return measured


def main() -> None:
    report = Report("Is every finished clip at -14 LUFS and under -1 dBTP?")
    with tempfile.TemporaryDirectory() as folder:
        measured = asyncio.run(measure_clips(Path(folder)))
    rows = [
        (name, *(f"{measured[name, s].lufs:.1f} / {measured[name, s].peak:.1f}" for s in LENGTHS))
        for name in GENRES
    ]
    report.table(("LUFS / dBTP", *(f"{seconds:g} s" for seconds in LENGTHS)), rows)
    report.figures["clips"] = len(measured)
    report.goal(
        "furthest from -14 LUFS, LU", max(abs(loudness.lufs + 14) for loudness in measured.values()), "<=", 1
    )
    report.goal("highest true peak, dBTP", max(loudness.peak for loudness in measured.values()), "<=", -1)
    report.finish()


if __name__ == "__main__":
    main()
