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
from generation.media.identity import load_or_create_identity
from generation.media.mux import mux
from generation.media.probe import probe
from generation.media.provenance import SignatureStatus, sign_file, verify
from tests.generation.media.conftest import file_names, noise

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
    sign_file(made.path, identity=load_or_create_identity(tmp_path), model="ltx")
    return made


def broken_ffmpeg(folder: Path, real: Ffmpeg, first: str) -> Ffmpeg:
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
async def test_a_failed_fit_raises_keeps_the_clip_and_can_be_retried(
    script: str, error: type[GenerationError], clip: Clip, ffmpeg: Ffmpeg, tmp_path: Path
) -> None:
    limit, before = clip.path.stat().st_size // 2, file_names(clip.path.parent)
    with pytest.raises(error):
        await fit(
            clip,
            limit,
            ffmpeg=broken_ffmpeg(tmp_path, ffmpeg, script),
            identity=load_or_create_identity(tmp_path),
        )
    assert file_names(clip.path.parent) == before
    assert verify(clip.path, identity=load_or_create_identity(tmp_path)).status is SignatureStatus.VALID
    again = await fit(clip, limit, ffmpeg=ffmpeg, identity=load_or_create_identity(tmp_path))
    assert again.path.stat().st_size <= limit


@pytest.mark.parametrize("script", [FULL_DISK, CUT_SHORT])
async def test_a_failed_encode_leaves_no_partial_file(script: str, ffmpeg: Ffmpeg, tmp_path: Path) -> None:
    home = tmp_path / "job"
    home.mkdir()
    pixels = np.random.default_rng(3).integers(0, 256, (12, 96, 128, 3), np.uint8)
    with pytest.raises((DiskFull, EncodeFailed)):
        await mux(
            Frames(pixels, 12.0), None, home / "clip.mp4", ffmpeg=broken_ffmpeg(tmp_path, ffmpeg, script)
        )
    assert file_names(home) == []
    assert (await mux(Frames(pixels, 12.0), None, home / "clip.mp4", ffmpeg=ffmpeg)).frames == 12


@pytest.mark.parametrize(
    ("count", "width", "height", "fps"),
    [(1, 64, 48, 24.0), (480, 32, 48, 8.0), (121, 34, 62, 60.0), (49, 97, 131, 23.976), (25, 36, 64, 12.5)],
)
async def test_all_frames_are_kept_and_audio_ends_with_the_picture(
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
