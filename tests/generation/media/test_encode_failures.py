"""A failed encode raises a proper error, keeps the clip and can be retried."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pytest

from generation.clip import Clip, Frames
from generation.errors import DiskFull, EncodeFailed, GenerationError
from generation.media.ffmpeg import Ffmpeg
from generation.media.fit import fit
from generation.media.mux import mux
from generation.media.probe import probe
from generation.media.provenance import SignatureStatus, sign_file, verify
from generation.media.signing_identity import load_or_create_identity
from tests.generation.media.conftest import file_names, noise

pytestmark = pytest.mark.slow

FULL_DISK = "ulimit -f 4; trap '' XFSZ"  # no file over 2 kB: fails as on a full disk
CRASH = 'case "$*" in *pass*2*) echo broken >&2; exit 3;; esac'
CUT_SHORT = 'for last; do :; done; {real} "$@"; [ -f "$last" ] && truncate -s -600 "$last"; exit 0'


@pytest.fixture
async def clip(ffmpeg: Ffmpeg, tmp_path: Path) -> Clip:
    rng = np.random.default_rng(5)
    grain = rng.integers(60, 200, (12, 96, 128, 3), np.uint8)
    folder = tmp_path / "job"
    folder.mkdir()
    clip = await mux(Frames(grain, 12.0), noise(1.0), folder / "clip.mp4", ffmpeg=ffmpeg)
    sign_file(clip.path, identity=load_or_create_identity(tmp_path), model="ltx")
    return clip


def broken_ffmpeg(folder: Path, real: Ffmpeg, first: str) -> Ffmpeg:
    """A script that runs `first`, which fails, and then the real ffmpeg."""
    path = folder / "broken"
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
    fitted = await fit(clip, limit, ffmpeg=ffmpeg, identity=load_or_create_identity(tmp_path))
    assert fitted.path.stat().st_size <= limit


@pytest.mark.parametrize("script", [FULL_DISK, CUT_SHORT])
async def test_a_failed_encode_leaves_no_partial_file(script: str, ffmpeg: Ffmpeg, tmp_path: Path) -> None:
    folder = tmp_path / "job"
    folder.mkdir()
    pixels = np.random.default_rng(3).integers(0, 256, (12, 96, 128, 3), np.uint8)
    with pytest.raises((DiskFull, EncodeFailed)):
        await mux(
            Frames(pixels, 12.0), None, folder / "clip.mp4", ffmpeg=broken_ffmpeg(tmp_path, ffmpeg, script)
        )
    assert file_names(folder) == []
    assert (await mux(Frames(pixels, 12.0), None, folder / "clip.mp4", ffmpeg=ffmpeg)).frames == 12


@pytest.mark.parametrize(
    ("count", "width", "height", "fps"),
    [(1, 64, 48, 24.0), (480, 32, 48, 8.0), (121, 34, 62, 60.0), (49, 97, 131, 23.976), (25, 36, 64, 12.5)],
)
async def test_all_frames_are_kept_and_audio_ends_with_the_picture(
    count: int, width: int, height: int, fps: float, ffmpeg: Ffmpeg, tmp_path: Path
) -> None:
    """Including a single frame, a minute, odd sides and portrait format."""
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
