"""Last steps of every music maker: sample rate, length, channels, fades, loudness."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from generation.clip import Audio
from generation.errors import BadAudio
from generation.music.common.loudness_normalize import normalize_loudness

Waveform = NDArray[np.float32]
FADE_IN = 0.02
SILENT_PEAK = 1e-5
"""A model whose music never exceeds this made none: -100 dB of full scale."""


def resample(sound: Waveform, rate: int, wanted: int) -> Waveform:
    """Resample, samples first; exact below both Nyquist frequencies."""
    if rate == wanted or not len(sound):
        return sound
    unit = rate // math.gcd(rate, wanted)
    edge = rate // 20
    size = -(-(len(sound) + 2 * edge) // unit) * unit
    padded = np.zeros((size, sound.shape[1]), np.float32)
    padded[edge : edge + len(sound)] = sound
    target = size * wanted // rate
    spectrum = np.fft.rfft(padded, axis=0)
    kept = np.zeros((target // 2 + 1, sound.shape[1]), spectrum.dtype)
    shared = min(len(kept), len(spectrum))
    kept[:shared] = spectrum[:shared]
    resampled = np.fft.irfft(kept, target, axis=0) * (target / size)
    start = edge * wanted // rate
    length = round(len(sound) * wanted / rate)
    return np.ascontiguousarray(resampled[start : start + length], dtype=np.float32)


def to_stereo(sound: Waveform) -> Waveform:
    """Convert to two channels, samples first; more than two channels are mixed to mono first."""
    sound = sound.reshape(len(sound), -1)
    if sound.shape[1] == 2:
        return sound
    return np.repeat(sound.mean(axis=1, keepdims=True), 2, axis=1)


def fit_length(sound: Waveform, samples: int) -> Waveform:
    """Cut, or pad with silence, to exactly this many samples."""
    if len(sound) >= samples:
        return sound[:samples]
    return np.pad(sound, ((0, samples - len(sound)), (0, 0)))


def apply_fades(sound: Waveform, rate: int, fade_out: float) -> Waveform:
    """Fade in over 20 ms and out over `fade_out` seconds, at most a quarter; the last sample is 0."""
    count = len(sound)
    rise = min(count, round(FADE_IN * rate))
    fall = min(count // 4 or count, round(fade_out * rate))
    shaped = sound.copy()
    shaped[:rise] *= np.linspace(0, 1, rise, dtype=np.float32)[:, None]
    bend = np.cos(np.linspace(0, np.pi / 2, fall)).astype(np.float32)
    bend[-1:] = 0
    shaped[count - fall :] *= bend[:, None]
    return shaped


def finish_audio(sound: Waveform, rate: int, samples: int, wanted: int, *, fade_out: float = 1.5) -> Audio:
    """Finish a maker's raw sound: stereo, the wanted rate and length, faded, at -14 LUFS."""
    fitted = fit_length(resample(to_stereo(np.nan_to_num(sound)), rate, wanted), samples)
    shaped = apply_fades(fitted, wanted, fade_out)
    level = normalize_loudness(np.ascontiguousarray(shaped.T), wanted)
    return Audio(np.ascontiguousarray(level.T, dtype=np.float32), wanted)


def check_sound(maker: str, sound: Waveform) -> None:
    """Raise BadAudio when a model's sound is silent or contains values that are not numbers."""
    if not np.isfinite(sound).all() or np.abs(sound).max(initial=0.0) < SILENT_PEAK:
        raise BadAudio(maker)


def loop_to_length(sound: Waveform, samples: int, overlap: int) -> Waveform:
    """Repeat the sound until it is long enough, with a crossfade of `overlap` samples."""
    if len(sound) >= samples:
        return sound
    overlap = max(1, min(overlap, len(sound) // 2))
    rise = np.sqrt(np.linspace(0, 1, overlap, dtype=np.float32))[:, None]
    stride = len(sound) - overlap
    result = np.zeros((samples + len(sound), sound.shape[1]), np.float32)
    for start in range(0, samples, max(1, stride)):
        part = sound.copy()
        if start:
            part[:overlap] *= rise
        part[-overlap:] *= rise[::-1]
        result[start : start + len(part)] += part
    return result[:samples]
