"""Whatever befalls an encode, a sentence can be said, the render is kept, and another try works."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pytest

from generation.clip import Clip, Frames
from generation.errors import DiskFull, EncodeFailed, GenerationError
from generation.media.ffmpeg import Ffmpeg
from generation.media.fit import fit
from generation.media.identity import own
from generation.media.mux import mux
from generation.media.probe import probe
from generation.media.provenance import Mark, mark, verify
from tests.generation.media.conftest import left_in, noise

FULL_DISK = "ulimit -f 4; trap '' XFSZ"  # no file of more than 2 kB: what a full disk says, it says
CRASH = 'case "$*" in *pass*2*) echo broken >&2; exit 3;; esac'
CUT_SHORT = 'for last; do :; done; {real} "$@"; [ -f "$last" ] && truncate -s -600 "$last"; exit 0'


@pytest.fixture
async def clip(ffmpeg: Ffmpeg, tmp_path: Path) -> Clip:
    draw = np.random.default_rng(5)
    grain = draw.integers(60, 200, (12, 96, 128, 3), np.uint8)
    home = tmp_path / "job"
    home.mkdir()
    made = await mux(Frames(grain, 12.0), noise(1.0), home / "clip.mp4", ffmpeg=ffmpeg)
    mark(made.path, identity=own(tmp_path), model="ltx")
    return made


def spoilt(folder: Path, real: Ffmpeg, first: str) -> Ffmpeg:
    """The real ffmpeg behind a script in which something goes wrong first."""
    path = folder / "spoilt"
    path.write_text(f'#!/bin/bash\n{first.replace("{real}", real.path)}\nexec {real.path} "$@"\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return Ffmpeg(str(path), real.version, "configured")


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (FULL_DISK, DiskFull),
        (CRASH, EncodeFailed),
        ("kill -9 $$", GenerationError),
        (CUT_SHORT, EncodeFailed),
    ],
)
async def test_a_fit_that_goes_wrong_is_told_keeps_the_clip_and_works_the_next_time(
    script: str, error: type[GenerationError], clip: Clip, ffmpeg: Ffmpeg, tmp_path: Path
) -> None:
    limit, before = clip.path.stat().st_size // 2, left_in(clip.path.parent)
    with pytest.raises(error):
        await fit(clip, limit, ffmpeg=spoilt(tmp_path, ffmpeg, script), identity=own(tmp_path))
    assert left_in(clip.path.parent) == before
    assert verify(clip.path, identity=own(tmp_path)).mark is Mark.HOLDS
    again = await fit(clip, limit, ffmpeg=ffmpeg, identity=own(tmp_path))
    assert again.path.stat().st_size <= limit


@pytest.mark.parametrize("script", [FULL_DISK, CUT_SHORT])
async def test_an_encode_that_goes_wrong_leaves_nothing_half_made(
    script: str, ffmpeg: Ffmpeg, tmp_path: Path
) -> None:
    home = tmp_path / "job"
    home.mkdir()
    pixels = np.random.default_rng(3).integers(0, 256, (12, 96, 128, 3), np.uint8)
    with pytest.raises((DiskFull, EncodeFailed)):
        await mux(Frames(pixels, 12.0), None, home / "clip.mp4", ffmpeg=spoilt(tmp_path, ffmpeg, script))
    assert left_in(home) == []
    assert (await mux(Frames(pixels, 12.0), None, home / "clip.mp4", ffmpeg=ffmpeg)).frames == 12


@pytest.mark.parametrize(
    ("count", "width", "height", "fps"),
    [(1, 64, 48, 24.0), (480, 32, 48, 8.0), (121, 34, 62, 60.0), (49, 97, 131, 23.976), (25, 36, 64, 12.5)],
)
async def test_every_frame_is_there_and_sound_ends_with_the_picture(
    count: int, width: int, height: int, fps: float, ffmpeg: Ffmpeg, tmp_path: Path
) -> None:
    """Also of one frame, of a minute, of odd sides and of a portrait."""
    pixels = np.random.default_rng(1).integers(0, 256, (count, height // 2, width // 2, 3), np.uint8)
    pixels = pixels.repeat(2, axis=1).repeat(2, axis=2)[:, :height, :width]
    pixels = np.pad(pixels, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    facts = probe(
        (await mux(Frames(pixels, fps), noise(count / fps), tmp_path / "clip.mp4", ffmpeg=ffmpeg)).path
    )
    assert facts.frames == count
    assert (facts.width, facts.height) == (width // 2 * 2, height // 2 * 2)
    assert facts.seconds == pytest.approx(count / fps, abs=0.5 / fps)
    assert abs(facts.audio_seconds - facts.seconds) <= 1 / fps
