"""Truncated, damaged or incomplete files are rejected."""

from __future__ import annotations

from pathlib import Path

import pytest

from generation.errors import EncodeFailed
from generation.media.ffmpeg import Ffmpeg
from generation.media.mux import mux
from generation.media.probe import check_file, probe, read_frames
from tests.generation.media.conftest import moving_square, noise


async def test_a_file_truncated_at_any_of_twenty_places_is_rejected(ffmpeg: Ffmpeg, tmp_path: Path) -> None:
    clip = await mux(moving_square(), noise(1.0), tmp_path / "clip.mp4", ffmpeg=ffmpeg)
    data = clip.path.read_bytes()
    rejected = 0
    for twentieth in range(20):
        truncated = tmp_path / "truncated.mp4"
        truncated.write_bytes(data[: len(data) * twentieth // 20])
        with pytest.raises(EncodeFailed):
            await check_file(truncated, frames=clip.frames, fps=clip.fps, audio=True, ffmpeg=ffmpeg)
        rejected += 1
    assert rejected == 20


async def test_a_complete_file_passes_only_with_the_right_expectations(
    each_ffmpeg: Ffmpeg, tmp_path: Path
) -> None:
    clip = await mux(moving_square(), noise(1.0), tmp_path / "clip.mp4", ffmpeg=each_ffmpeg)
    await check_file(clip.path, frames=12, fps=12.0, audio=True, ffmpeg=each_ffmpeg)
    for frames, fps, audio in ((13, 12.0, True), (12, 10.0, True), (12, 12.0, False)):
        with pytest.raises(EncodeFailed):
            await check_file(clip.path, frames=frames, fps=fps, audio=audio, ffmpeg=each_ffmpeg)


async def test_damaged_frames_are_detected(each_ffmpeg: Ffmpeg, tmp_path: Path) -> None:
    clip = await mux(moving_square(), None, tmp_path / "clip.mp4", ffmpeg=each_ffmpeg)
    data = bytearray(clip.path.read_bytes())
    start = data.index(b"mdat") + 900
    data[start : start + 400] = bytes(400)
    clip.path.write_bytes(data)
    with pytest.raises(EncodeFailed):
        await check_file(clip.path, frames=12, fps=12.0, audio=False, ffmpeg=each_ffmpeg)


@pytest.mark.parametrize("data", [b"", b"\0" * 64, b"#EXTM3U\n#EXTINF:1,\n/etc/hostname\n"])
def test_files_that_are_not_mp4_are_rejected(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(data)
    with pytest.raises(EncodeFailed):
        probe(tmp_path / "clip.mp4")


async def test_read_frames_can_return_only_the_last_ones(ffmpeg: Ffmpeg, tmp_path: Path) -> None:
    frames = moving_square(12)
    clip = await mux(frames, None, tmp_path / "clip.mp4", ffmpeg=ffmpeg)
    last = read_frames(clip.path, last=3)
    assert last.pixels.shape[0] == 3
    assert abs(last.pixels.astype(int) - frames.pixels[-3:]).mean() < 4
