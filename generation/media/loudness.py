"""Encode audio as AAC, normalised to a common loudness (EBU R 128)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ffmpeg as build

from generation.clip import Audio
from generation.media.ffmpeg import Ffmpeg, run
from generation.media.loudness_meter import MIN_SECONDS, Loudness, measure

TARGET_LUFS = -14.0  # LUFS, usual for music services
PEAK_CEILING = -1.0  # dBTP, of the encoded AAC
SAMPLE_RATE = 48_000
_HEADROOM = 0.6  # dB that AAC encoding may add to a peak
_TRIES = 5
_AAC_CODER = "fast"  # at this bit rate closer to the original than "twoloop", for half the work


def _within_target(measured: Loudness) -> bool:
    return abs(measured.lufs - TARGET_LUFS) <= 0.7 and measured.peak <= PEAK_CEILING


def _pcm_input(rate: int, channels: int) -> Any:
    return build.input("pipe:0", f="f32le", ar=rate, ac=channels)


def fit_length(audio: Audio, seconds: float) -> Audio:
    """Cut the audio, or pad it with silence, to exactly `seconds`."""
    import numpy as np  # noqa: PLC0415  (only where it is used)

    samples = np.nan_to_num(audio.samples.reshape(len(audio.samples), -1))
    count = max(1, round(seconds * audio.rate))
    padded = np.pad(samples[:count], ((0, max(0, count - len(samples))), (0, 0)))
    return Audio(np.ascontiguousarray(padded, dtype="<f4"), audio.rate)


async def encode_normalized(
    audio: Audio, target: Path, *, ffmpeg: Ffmpeg, bitrate: int = 192_000
) -> Loudness:
    """Write the audio as AAC in an MP4 at -14 LUFS and at most -1 dBTP, measured on the written file.

    The gain is linear; a limiter reduces only peaks above the ceiling. Silence stays silent.
    """
    before = await measure(audio)
    if before.silent:
        await _write(audio, target, ffmpeg=ffmpeg, bitrate=bitrate, filters=())
        return before
    gain, ceiling = TARGET_LUFS - before.lufs, PEAK_CEILING - _HEADROOM
    attempts: list[tuple[float, float, Loudness]] = []
    while len(attempts) < _TRIES:
        limit = ceiling if before.peak + gain > ceiling else None
        await _write(audio, target, ffmpeg=ffmpeg, bitrate=bitrate, filters=_filters(gain, limit))
        measured = await measure(target)
        if audio.seconds < MIN_SECONDS / 2:
            measured = Loudness(before.lufs + gain, measured.peak)
        attempts.append((gain, ceiling, measured))
        if _within_target(measured):
            return measured
        gain += (TARGET_LUFS - measured.lufs) * (
            1.0 if limit is None else 1.6
        )  # a limiter takes back some of the gain
        ceiling -= max(0.0, measured.peak - PEAK_CEILING + 0.1)
    gain, ceiling, best = min(
        attempts, key=lambda attempt: (max(PEAK_CEILING, attempt[2].peak), abs(attempt[2].lufs - TARGET_LUFS))
    )
    await _write(audio, target, ffmpeg=ffmpeg, bitrate=bitrate, filters=_filters(gain, ceiling))
    return best


def _filters(gain: float, limit: float | None) -> tuple[tuple[str, dict[str, Any]], ...]:
    volume = ("volume", {"volume": f"{gain:.2f}dB", "precision": "float"})
    if limit is None:
        return (volume,)
    return (
        volume,
        ("aresample", {"osr": 4 * SAMPLE_RATE}),  # peaks between samples are visible only when oversampled
        ("alimiter", {"limit": 10 ** (limit / 20), "attack": 1, "release": 60, "level": 0, "latency": 1}),
    )


async def _write(
    audio: Audio,
    target: Path,
    *,
    ffmpeg: Ffmpeg,
    bitrate: int,
    filters: tuple[tuple[str, dict[str, Any]], ...],
) -> None:
    stream = _pcm_input(audio.rate, audio.samples.shape[1])
    for name, options in (*filters, ("aresample", {"osr": SAMPLE_RATE})):
        stream = stream.filter(name, **options)
    channels = min(2, audio.samples.shape[1])
    options = {"acodec": "aac", "audio_bitrate": bitrate, "ac": channels, "aac_coder": _AAC_CODER}
    out = build.output(stream, str(target), f="mp4", **options)
    await run(ffmpeg, out, stage="sound", feed=[audio.samples])
