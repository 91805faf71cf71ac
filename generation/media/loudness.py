"""How loud a sound is, and an AAC file of it that is as loud as every other clip: EBU R 128."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ffmpeg as build

from generation.clip import Score
from generation.media.ffmpeg import Ffmpeg, run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TARGET = -14.0  # LUFS, what music services settled on
CEILING = -1.0  # dBTP, of the finished AAC
RATE = 48_000
SILENCE = -60.0  # LUFS; what is quieter is not made louder
_HEADROOM = 0.6  # dB that AAC is likely to add to a peak
_TRIES = 5
_SHORTEST = 1.0  # seconds; R 128 needs 0.4 to say anything


@dataclass(frozen=True, slots=True)
class Loudness:
    lufs: float
    peak: float  # dBTP

    @property
    def silent(self) -> bool:
        return self.lufs <= SILENCE

    @property
    def good(self) -> bool:
        return abs(self.lufs - TARGET) <= 0.7 and self.peak <= CEILING


async def measure(source: Path | Score, *, ffmpeg: Ffmpeg) -> Loudness:
    """Integrated loudness and true peak of a file of ours or of samples in memory."""
    if isinstance(source, Score):
        stream, feed = _raw(source.rate, source.samples.shape[1]), [_long_enough(source)]
    else:
        stream, feed = build.input(str(source), f="mp4", protocol_whitelist="file")["a"], None
    meter = stream.filter("ebur128", peak="true", framelog="verbose")
    said = await run(ffmpeg, build.output(meter, "-", f="null"), stage="loudness", feed=feed)
    summary = said[said.rfind("Summary:") :]
    return Loudness(_figure(r"I:\s+(\S+) LUFS", summary), _figure(r"Peak:\s+(\S+) dBFS", summary))


def _figure(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    return float(found[1]) if found else -math.inf


def _raw(rate: int, channels: int) -> Any:
    return build.input("pipe:0", f="f32le", ar=rate, ac=channels)


def _long_enough(score: Score) -> NDArray[np.float32]:
    import numpy as np  # noqa: PLC0415  (only where it is used)

    samples = np.ascontiguousarray(score.samples, dtype="<f4")
    times = math.ceil(_SHORTEST * score.rate / max(1, len(samples)))
    return np.tile(samples, (times, 1)) if times > 1 else samples


def exactly(score: Score, seconds: float) -> Score:
    """The score cut or filled with silence to the very sample."""
    import numpy as np  # noqa: PLC0415  (only where it is used)

    samples = np.nan_to_num(score.samples.reshape(len(score.samples), -1))
    wanted = max(1, round(seconds * score.rate))
    filled = np.pad(samples[:wanted], ((0, max(0, wanted - len(samples))), (0, 0)))
    return Score(np.ascontiguousarray(filled, dtype="<f4"), score.rate)


async def encode(score: Score, target: Path, *, ffmpeg: Ffmpeg, bitrate: int = 160_000) -> Loudness:
    """Write the score as AAC in an MP4 at -14 LUFS and at most -1 dBTP, measured on what was written.

    The gain is linear; a limiter takes only the peaks that would pass the ceiling. Silence stays silence.
    """
    before = await measure(score, ffmpeg=ffmpeg)
    if before.silent:
        await _write(score, target, ffmpeg=ffmpeg, bitrate=bitrate, filters=())
        return before
    gain, ceiling = TARGET - before.lufs, CEILING - _HEADROOM
    heard: list[tuple[float, float, Loudness]] = []
    while len(heard) < _TRIES:
        limit = ceiling if before.peak + gain > ceiling else None
        await _write(score, target, ffmpeg=ffmpeg, bitrate=bitrate, filters=_filters(gain, limit))
        now = await measure(target, ffmpeg=ffmpeg)
        if score.seconds < _SHORTEST / 2:
            now = Loudness(before.lufs + gain, now.peak)
        heard.append((gain, ceiling, now))
        if now.good:
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
    out = build.output(stream, str(target), f="mp4", acodec="aac", audio_bitrate=bitrate, ac=channels)
    await run(ffmpeg, out, stage="sound", feed=[score.samples])
