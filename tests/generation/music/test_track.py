"""The user's own track as music: decoded safely, cut on its beat, exact in length."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from generation.clip import Audio
from generation.errors import AttachmentRefused, MusicFailed
from generation.media.audio_decode import read_audio
from generation.music.common.audio_finish import loop_to_length, resample
from generation.music.common.beats import find_beats
from generation.music.common.ducking import mix_with_ducking
from generation.music.common.registry import load
from generation.request import Music

RATE = 48_000
Waveform = NDArray[np.float32]


def ignore_progress(_done: int, _total: int) -> None:
    pass


def click_track(seconds: float, bpm: float, *, silence: float = 0.0) -> Waveform:
    """A click on every beat over a soft tone, after some silence."""
    times = np.arange(round(seconds * RATE)) / RATE
    since = np.mod(times - silence, 60 / bpm)
    sound = (
        np.sin(2 * np.pi * 220 * times) * 0.05
        + np.sin(2 * np.pi * 1500 * times) * np.exp(-since / 0.01) * 0.6
    )
    sound[times < silence] = 0
    return np.repeat(sound[:, None], 2, axis=1).astype(np.float32)


def write(path: Path, sound: Waveform, codec: str = "pcm_s16le", kind: str = "wav") -> Path:
    with av.open(str(path), "w", format=kind) as file:
        stream = file.add_stream(codec, rate=RATE)
        assert isinstance(stream, av.AudioStream)
        stream.layout = "stereo"
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound.T), format="fltp", layout="stereo")
        frame.rate, frame.time_base = RATE, Fraction(1, RATE)
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("codec", "kind", "name"),
    [
        ("pcm_s16le", "wav", "a.wav"),
        ("flac", "flac", "a.flac"),
        ("libmp3lame", "mp3", "a.mp3"),
        ("aac", "mp4", "a.m4a"),
        ("libopus", "ogg", "a.ogg"),
    ],
)
def test_common_audio_formats_are_read_under_any_file_name(
    tmp_path: Path, codec: str, kind: str, name: str
) -> None:
    path = write(tmp_path / name, click_track(3, 120), codec, kind).rename(tmp_path / "song.txt")
    audio = read_audio(path)
    assert audio.rate == RATE
    assert abs(audio.seconds - 3) < 0.1
    assert 0.3 < np.abs(audio.samples).max() <= 1.1


def test_only_the_start_of_a_long_recording_is_read(tmp_path: Path) -> None:
    assert read_audio(write(tmp_path / "a.wav", click_track(5, 120)), longest=2.0).samples.shape == (
        2 * RATE,
        2,
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"#EXTM3U\n#EXTINF:5,\n/etc/passwd\n", "not a sound file"),
        (b"ffconcat version 1.0\nfile /etc/hostname\n", "not a sound file"),
        (b"", "not a sound file"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "not a sound file"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "damaged"),
        (b"ID3" + b"\xff" * 500, "damaged"),
        (b"\0\0\0\x18ftypisom" + b"\0" * 300, "damaged"),
        (b"OggS" + b"\0" * 400, "damaged"),
    ],
)
def test_a_file_that_is_not_audio_is_refused_with_a_reason(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "song.mp3"
    path.write_bytes(content)
    with pytest.raises(AttachmentRefused) as caught:
        read_audio(path)
    assert caught.value.name == "song.mp3"
    assert caught.value.reason in {reason, "without sound"}


def test_a_missing_and_a_huge_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AttachmentRefused) as caught:
        read_audio(tmp_path / "gone.wav")
    assert caught.value.reason == "not readable"
    huge = tmp_path / "huge.wav"
    with huge.open("wb") as file:
        file.truncate(60_000_001)
    with pytest.raises(AttachmentRefused) as caught:
        read_audio(huge)
    assert caught.value.reason == "too large"


@pytest.mark.parametrize("bpm", [80, 96, 120, 140])
def test_the_beat_is_found(bpm: float) -> None:
    found = find_beats(click_track(20, bpm), RATE)
    spacing = float(np.median(np.diff(found))) * bpm / 60
    assert min(abs(spacing - times) for times in (0.5, 1, 2)) < 0.02
    late = np.mod(found + 0.03, 60 / bpm) - 0.03
    assert np.median(np.abs(late)) < 0.03


def test_a_song_starts_on_its_first_beat_and_fills_the_clip(tmp_path: Path) -> None:
    song = write(tmp_path / "song.wav", click_track(20, 120, silence=2.2))
    audio = load("track", {}).compose(
        Music(genre="own", maker="track", track=str(song)), 240_001, RATE, ignore_progress
    )
    assert audio.samples.shape == (240_001, 2)
    first = int(np.abs(audio.samples).max(axis=1).argmax()) / RATE
    assert min(first % 0.5, 0.5 - first % 0.5) < 0.03
    assert np.abs(audio.samples[: RATE // 5]).max() > 0.2
    assert np.abs(audio.samples[-1]).max() < 1e-3


def test_a_short_song_loops_on_the_beat(tmp_path: Path) -> None:
    song = write(tmp_path / "song.wav", click_track(4.2, 120))
    audio = load("track", {}).compose(
        Music(genre="own", maker="track", track=str(song)), 12 * RATE, RATE, ignore_progress
    )
    assert audio.samples.shape == (12 * RATE, 2)
    loud = np.abs(audio.samples).max(axis=1)
    ticks = [at / RATE for at in np.flatnonzero(loud > 0.6 * loud.max())]
    gaps = [b - a for a, b in pairwise(ticks) if b - a > 0.2]
    assert gaps
    assert all(abs(gap - 0.5) < 0.06 for gap in gaps)


def test_the_library_has_a_folder_for_each_genre(tmp_path: Path) -> None:
    (tmp_path / "jazz").mkdir()
    write(tmp_path / "jazz" / "one.wav", click_track(3, 100))
    maker = load("track", {"library": str(tmp_path)})
    assert maker.compose(Music(genre="jazz", maker="track"), RATE, RATE, ignore_progress).samples.any()
    with pytest.raises(MusicFailed, match="metal"):
        maker.compose(Music(genre="metal", maker="track"), RATE, RATE, ignore_progress)
    with pytest.raises(MusicFailed, match="library"):
        load("track", {}).compose(Music(genre="jazz", maker="track"), RATE, RATE, ignore_progress)


def test_music_is_ducked_while_the_native_audio_is_loud() -> None:
    times = np.arange(6 * RATE) / RATE
    voice = np.where((times > 2) & (times < 4), 0.3 * np.sin(2 * np.pi * 300 * times), 0)
    tone = 0.5 * np.sin(2 * np.pi * 2000 * times)
    own, music = (Audio(np.repeat(x[:, None], 2, axis=1).astype(np.float32), RATE) for x in (voice, tone))
    both = mix_with_ducking(own, music)
    assert both.samples.shape == music.samples.shape
    assert np.abs(both.samples).max() <= 0.9

    def music_level(second: float) -> float:
        part = both.samples[round(second * RATE) : round((second + 0.5) * RATE), 0]
        return float(np.abs(np.fft.rfft(part))[1000])

    assert 20 * np.log10(music_level(1.0) / music_level(3.0)) > 7
    assert music_level(5.4) > 0.8 * music_level(1.0)
    silent = Audio(np.zeros_like(own.samples), RATE)
    assert np.array_equal(mix_with_ducking(silent, music).samples, music.samples)


def test_another_rate_keeps_pitch_and_length() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(32_000) / 32_000).astype(np.float32)[:, None]
    resampled = resample(tone, 32_000, 48_000)
    assert resampled.shape == (48_000, 1)
    expected = np.sin(2 * np.pi * 1000 * np.arange(48_000) / 48_000)
    assert np.abs(resampled[2000:-2000, 0] - expected[2000:-2000]).max() < 1e-3


def test_a_loop_has_no_gap_between_repetitions() -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, (RATE, 2)).astype(np.float32)
    longer = loop_to_length(noise, 3 * RATE, RATE // 50)
    power = (longer**2).mean(axis=1).reshape(-1, 480).mean(axis=1)
    assert power[1:].min() > 0.4 * power.mean()
