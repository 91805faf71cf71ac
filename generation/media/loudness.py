"""A sound becomes an AAC file that is as loud as every other clip: EBU R 128."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ffmpeg as build

from generation.clip import Score
from generation.media.ffmpeg import Ffmpeg, run
from generation.media.loudness_meter import SHORTEST, Loudness, measure

TARGET = -14.0  # LUFS, what music services settled on
CEILING = -1.0  # dBTP, of the finished AAC
RATE = 48_000
_HEADROOM = 0.6  # dB that AAC is likely to add to a peak
_TRIES = 5
_CODER = "fast"  # at this rate nearer to the original than the other, at half its work


def _good(heard: Loudness) -> bool:
    return abs(heard.lufs - TARGET) <= 0.7 and heard.peak <= CEILING


def _raw(rate: int, channels: int) -> Any:
    return build.input("pipe:0", f="f32le", ar=rate, ac=channels)


def exactly(score: Score, seconds: float) -> Score:
    """The score cut or filled with silence to the very sample."""
    import numpy as np  # noqa: PLC0415  (only where it is used)

    samples = np.nan_to_num(score.samples.reshape(len(score.samples), -1))
    wanted = max(1, round(seconds * score.rate))
    filled = np.pad(samples[:wanted], ((0, max(0, wanted - len(samples))), (0, 0)))
    return Score(np.ascontiguousarray(filled, dtype="<f4"), score.rate)


async def encode(score: Score, target: Path, *, ffmpeg: Ffmpeg, bitrate: int = 192_000) -> Loudness:
    """Write the score as AAC in an MP4 at -14 LUFS and at most -1 dBTP, measured on what was written.

    The gain is linear; a limiter takes only the peaks that would pass the ceiling. Silence stays silence.
    """
    before = await measure(score)
    if before.silent:
        await _write(score, target, ffmpeg=ffmpeg, bitrate=bitrate, filters=())
        return before
    gain, ceiling = TARGET - before.lufs, CEILING - _HEADROOM
    heard: list[tuple[float, float, Loudness]] = []
    while len(heard) < _TRIES:
        limit = ceiling if before.peak + gain > ceiling else None
        await _write(score, target, ffmpeg=ffmpeg, bitrate=bitrate, filters=_filters(gain, limit))
        now = await measure(target)
        if score.seconds < SHORTEST / 2:
            now = Loudness(before.lufs + gain, now.peak)
        heard.append((gain, ceiling, now))
        if _good(now):
            return now
        gain += (TARGET - now.lufs) * (1.0 if limit is None else 1.6)  # a limiter gives way
        ceiling -= max(0.0, now.peak - CEILING + 0.1)
    gain, ceiling, best = min(heard, key=lambda was: (max(CEILING, was[2].peak), abs(was[2].lufs - TARGET)))
    await _write(score, target, ffmpeg=ffmpeg, bitrate=bitrate, filters=_filters(gain, ceiling))
    return best


def _filters(gain: float, limit: float | None) -> tuple[tuple[str, dict[str, Any]], ...]:
    volume = ("volume", {"volume": f"{gain:.2f}dB", "precision": "float"})
    if limit is None:
        return (volume,)
    return (
        volume,
        ("aresample", {"osr": 4 * RATE}),  # peaks between samples show only when oversampled
        ("alimiter", {"limit": 10 ** (limit / 20), "attack": 1, "release": 60, "level": 0, "latency": 1}),
    )


async def _write(
    score: Score,
    target: Path,
    *,
    ffmpeg: Ffmpeg,
    bitrate: int,
    filters: tuple[tuple[str, dict[str, Any]], ...],
) -> None:
    stream = _raw(score.rate, score.samples.shape[1])
    for name, options in (*filters, ("aresample", {"osr": RATE})):
        stream = stream.filter(name, **options)
    channels = min(2, score.samples.shape[1])
    options = {"acodec": "aac", "audio_bitrate": bitrate, "ac": channels, "aac_coder": _CODER}
    out = build.output(stream, str(target), f="mp4", **options)
    await run(ffmpeg, out, stage="sound", feed=[score.samples])
