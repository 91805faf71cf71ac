"""A clip keeps every frame, plays in every chat and has the common loudness."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from generation.clip import Audio, Frames
from generation.errors import EncodeFailed, FolderUnwritable
from generation.media import loudness_meter
from generation.media.ffmpeg import Ffmpeg
from generation.media.mux import mux, mux_new_music, preset_for
from generation.media.probe import probe, read_frames
from generation.progress import Progress, Stage
from tests.generation.media.conftest import file_names, moving_square, noise

pytestmark = pytest.mark.slow


async def test_a_clip_has_the_codecs_every_chat_plays(each_ffmpeg: Ffmpeg, tmp_path: Path) -> None:
    frames = moving_square()
    clip = await mux(
        frames,
        noise(1.0),
        tmp_path / "clip.mp4",
        ffmpeg=each_ffmpeg,
        tags={"comment": "a: b=c", "title": "t"},
    )
    facts = probe(clip.path)
    assert (facts.video_codec, facts.profile, facts.pixel_format) == ("h264", "High", "yuv420p")
    assert (facts.audio_codec, facts.audio_rate) == ("aac", 48_000)
    assert facts.colours == (1, 1, 1, 1)
    assert facts.frames == len(frames.pixels)
    assert facts.tags["comment"] == "a: b=c"
    assert facts.tags["title"] == "t"
    data = clip.path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert file_names(tmp_path) == ["clip.jpg", "clip.mp4"]


@pytest.mark.parametrize("count", [1, 2, 25, 49])
@pytest.mark.parametrize("fps", [8.0, 23.976, 60.0])
async def test_every_generated_frame_is_in_the_file(
    count: int, fps: float, ffmpeg: Ffmpeg, tmp_path: Path
) -> None:
    clip = await mux(
        moving_square(count, 32, 32, fps), None, tmp_path / "clip.mp4", ffmpeg=ffmpeg, preset="superfast"
    )
    assert clip.frames == probe(clip.path).frames == count
    assert len(read_frames(clip.path).pixels) == count
    assert clip.fps == pytest.approx(fps, abs=0.001)


@pytest.mark.parametrize("length", [0.2, 1.0, 3.0])
async def test_music_too_short_or_too_long_ends_with_the_picture(
    length: float, ffmpeg: Ffmpeg, tmp_path: Path
) -> None:
    frames = moving_square(25, fps=25.0)
    facts = probe((await mux(frames, noise(length), tmp_path / "clip.mp4", ffmpeg=ffmpeg)).path)
    assert facts.frames == 25
    assert facts.audio_seconds == pytest.approx(facts.seconds, abs=1 / 25)


async def test_colours_survive_encoding(each_ffmpeg: Ffmpeg, tmp_path: Path) -> None:
    colours = np.array([(200, 30, 40), (30, 190, 60), (40, 60, 210), (128, 128, 128)], np.uint8)
    pixels = np.broadcast_to(colours.repeat(16, 0)[None, None], (4, 64, 64, 3))
    clip = await mux(Frames(pixels, 8.0), None, tmp_path / "clip.mp4", ffmpeg=each_ffmpeg)
    decoded = read_frames(clip.path).pixels[0, 32, 8::16].astype(int)
    assert np.abs(decoded - colours).max() <= 6


async def test_an_odd_size_loses_one_line_and_is_not_stretched(ffmpeg: Ffmpeg, tmp_path: Path) -> None:
    frames = moving_square(4, 97, 65)
    clip = await mux(frames, None, tmp_path / "clip.mp4", ffmpeg=ffmpeg)
    assert (clip.width, clip.height) == (96, 64)
    difference = read_frames(clip.path).pixels.astype(int) - frames.pixels[:, :64, :96]
    assert np.abs(difference).mean() < 4


async def test_non_contiguous_frames_are_encoded_correctly(ffmpeg: Ffmpeg, tmp_path: Path) -> None:
    frames = moving_square(6)
    mirrored = Frames(frames.pixels[:, :, ::-1], frames.fps)
    clip = await mux(mirrored, None, tmp_path / "clip.mp4", ffmpeg=ffmpeg)
    assert np.abs(read_frames(clip.path).pixels.astype(int) - mirrored.pixels).mean() < 4


@pytest.mark.parametrize("level", [0.005, 0.3])
async def test_music_is_at_minus_14_and_below_minus_1(
    level: float, each_ffmpeg: Ffmpeg, tmp_path: Path
) -> None:
    clip = await mux(
        moving_square(24),
        noise(2.0, level=level),
        tmp_path / "clip.mp4",
        ffmpeg=each_ffmpeg,
        preset="superfast",
    )
    measured = await loudness_meter.measure(clip.path)
    assert measured.lufs == pytest.approx(-14, abs=1)
    assert measured.peak <= -1


async def test_loud_drums_are_limited_below_minus_1(ffmpeg: Ffmpeg, tmp_path: Path) -> None:
    envelope = np.exp(-(np.arange(48_000) % 12_000) / 2500.0)[:, None]
    drums = Audio((noise(1.0, level=0.3, rate=48_000).samples * envelope).astype(np.float32), 48_000)
    clip = await mux(moving_square(24), drums, tmp_path / "clip.mp4", ffmpeg=ffmpeg, preset="superfast")
    measured = await loudness_meter.measure(clip.path)
    assert measured.lufs == pytest.approx(-14, abs=1)
    assert measured.peak <= -1


async def test_silence_stays_silence(ffmpeg: Ffmpeg, tmp_path: Path) -> None:
    silence = Audio(np.zeros((32_000, 2), np.float32), 32_000)
    clip = await mux(moving_square(), silence, tmp_path / "clip.mp4", ffmpeg=ffmpeg)
    assert clip.audio
    assert (await loudness_meter.measure(clip.path)).silent


async def test_new_music_leaves_the_picture_bit_for_bit(each_ffmpeg: Ffmpeg, tmp_path: Path) -> None:
    first = await mux(moving_square(), noise(1.0), tmp_path / "first.mp4", ffmpeg=each_ffmpeg)
    second = await mux_new_music(first, noise(1.0, level=0.02), tmp_path / "second.mp4", ffmpeg=each_ffmpeg)
    silent = await mux_new_music(first, None, tmp_path / "silent.mp4", ffmpeg=each_ffmpeg)
    assert np.array_equal(read_frames(first.path).pixels, read_frames(second.path).pixels)
    assert (second.frames, second.audio, silent.audio) == (first.frames, True, False)


async def test_progress_counts_frames_up_to_all(ffmpeg: Ffmpeg, tmp_path: Path) -> None:
    seen: list[Progress] = []
    await mux(moving_square(30), None, tmp_path / "clip.mp4", ffmpeg=ffmpeg, on_progress=seen.append)
    assert seen[-1] == Progress(Stage.ENCODING, 30, 30)
    assert [step.done for step in seen] == sorted(step.done for step in seen)


async def test_zero_frames_raise_encode_failed(ffmpeg: Ffmpeg, tmp_path: Path) -> None:
    no_frames = Frames(np.zeros((0, 64, 64, 3), np.uint8), 24.0)
    with pytest.raises(EncodeFailed):
        await mux(no_frames, None, tmp_path / "clip.mp4", ffmpeg=ffmpeg)


async def test_a_missing_folder_raises_and_leaves_nothing(ffmpeg: Ffmpeg, tmp_path: Path) -> None:
    with pytest.raises(FolderUnwritable):
        await mux(moving_square(), noise(1.0), tmp_path / "missing" / "clip.mp4", ffmpeg=ffmpeg)
    assert file_names(tmp_path) == []


async def test_the_poster_meets_telegrams_thumbnail_limits(ffmpeg: Ffmpeg, tmp_path: Path) -> None:
    grain = np.random.default_rng(3).integers(0, 256, (3, 480, 854, 3), np.uint8)
    clip = await mux(Frames(grain, 8.0), None, tmp_path / "clip.mp4", ffmpeg=ffmpeg, preset="superfast")
    assert clip.poster is not None
    assert clip.poster.stat().st_size < 200_000
    with Image.open(clip.poster) as picture:
        assert picture.format == "JPEG"
        assert max(picture.size) == 320


def test_the_preset_is_faster_when_more_clips_wait() -> None:
    assert [preset_for(backlog) for backlog in (-1, 0, 1, 3, 99)] == [
        "quick",
        "quick",
        "quicker",
        "quickest",
        "quickest",
    ]


@pytest.mark.parametrize("backlog", [0, 1, 3])
async def test_every_preset_plays_and_keeps_the_colours(
    backlog: int, each_ffmpeg: Ffmpeg, tmp_path: Path
) -> None:
    frames = moving_square(12, 96, 64)
    clip = await mux(frames, None, tmp_path / "clip.mp4", ffmpeg=each_ffmpeg, preset=preset_for(backlog))
    assert np.abs(read_frames(clip.path).pixels.astype(int) - frames.pixels).mean() < 4
    settings = clip.path.read_bytes()
    assert (b"mbtree=1" in settings) is (backlog < 3)
    assert (b"cabac=1" in settings) is (backlog == 0)
