"""New music for an existing clip: the video packets stay the same, byte for byte."""

from __future__ import annotations

import hashlib
from pathlib import Path

import av
import numpy as np

from generation.clip import Frames
from generation.media.ffmpeg import find
from generation.media.mux import mux, mux_new_music
from generation.music.band import Band
from generation.music.common.music_choice import Genre, choose_music
from generation.request import MusicWish


def packets(path: Path, kind: str) -> list[str]:
    with av.open(str(path), format="mp4") as file:
        stream = next(one for one in file.streams if one.type == kind)
        return [hashlib.sha256(bytes(packet)).hexdigest() for packet in file.demux(stream) if packet.size]


async def test_the_video_packets_are_equal_and_the_music_is_not(
    genres: dict[str, Genre], tmp_path: Path
) -> None:
    ffmpeg, band = find(), Band(genres)

    def frames_with_music(genre: str) -> Frames:
        wish = MusicWish(genre=genre)
        music, _ = choose_music(wish, "x", seconds=1.0, genres=genres, maker="band", seed=1)
        score = band.compose(music, 48_000, 48_000, lambda _done, _total: None)
        pixels = np.random.default_rng(1).integers(0, 255, (24, 64, 64, 3), dtype=np.uint8)
        return Frames(pixels, 24.0, score)

    first, second = frames_with_music("lofi"), frames_with_music("metal")
    clip = await mux(first, first.audio, tmp_path / "first.mp4", ffmpeg=ffmpeg, preset="superfast")
    remixed = await mux_new_music(clip, second.audio, tmp_path / "remixed.mp4", ffmpeg=ffmpeg)
    assert len(packets(clip.path, "video")) == 24
    assert packets(clip.path, "video") == packets(remixed.path, "video")
    assert packets(clip.path, "audio") != packets(remixed.path, "audio")
