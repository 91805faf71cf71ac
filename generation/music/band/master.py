"""Master the mix: reverb, ducking, compression, loudness, fades."""

from __future__ import annotations

import functools

import numpy as np

from generation.music.band.synth import Waveform, band_pass, noise
from generation.music.common.loudness_normalize import fast_length, normalize_loudness


@functools.lru_cache(maxsize=4)
def _room_impulse(rate: int) -> Waveform:
    """A stereo impulse response of a room, 1.6 s long; high frequencies decay faster."""
    count = round(1.6 * rate)
    times = np.arange(count) / rate
    channels = []
    for channel in (1, 2):
        raw = noise(count, 100 + channel)
        dark = band_pass(raw, rate, 120, 2200) * np.exp(-times / 0.34)
        bright = band_pass(raw, rate, 2200, 8000) * np.exp(-times / 0.16)
        channels.append((dark + 0.7 * bright) * np.clip((times - 0.012) / 0.02, 0, 1))
    room = np.stack(channels)
    room /= np.sqrt((room**2).sum(axis=1, keepdims=True))
    scaled: Waveform = room.astype(np.float32)
    return scaled


def reverb(dry: Waveform, rate: int) -> Waveform:
    """The stereo reverb of a mono sound."""
    room = _room_impulse(rate)
    size = fast_length(len(dry) + room.shape[1])
    wet = np.fft.irfft(np.fft.rfft(dry, size) * np.fft.rfft(room, size), size)
    return wet[:, : len(dry)].astype(np.float32, copy=False)


def duck_on_kicks(sound: Waveform, kicks: list[int], depth: float, rate: int) -> Waveform:
    """Duck the sound at each kick drum hit; it recovers within a beat."""
    gain = np.ones(sound.shape[-1], np.float32)
    dip = (1 - depth * np.exp(-np.arange(round(0.3 * rate)) / (0.09 * rate))).astype(np.float32)
    for kick in kicks:
        part = gain[kick : kick + len(dip)]
        np.minimum(part, dip[: len(part)], out=part)
    return sound * gain


def compress(sound: Waveform, rate: int) -> Waveform:
    """Compress the mix gently, 2:1 above its usual level."""
    block = round(0.01 * rate)
    count = sound.shape[-1]
    power = np.pad((sound**2).mean(axis=0), (0, -count % block)).reshape(-1, block).mean(axis=1)
    usual = np.sqrt((power[power > 0.01 * power.max()]).mean()) + 1e-9
    level, envelope = 0.0, np.empty(len(power))
    for number, now in enumerate(np.sqrt(power)):
        level += (now - level) * (0.5 if now > level else 0.06)
        envelope[number] = level
    gain = np.minimum(1.0, (usual / np.maximum(envelope, 1e-9)) ** 0.5)
    curve = np.interp(np.arange(count), np.arange(len(gain)) * block, gain).astype(np.float32)
    result: Waveform = sound * curve
    return result


def finish_mix(sound: Waveform, rate: int, fade: float) -> Waveform:
    """Fade in and out, and normalize to -14 LUFS with peaks under the ceiling."""
    count = sound.shape[-1]
    out = np.linspace(1, 0, max(1, min(count, round(fade * rate))), dtype=np.float32)
    sound = sound.copy()
    sound[:, -len(out) :] *= out * out * (3 - 2 * out)
    sound[:, : round(0.004 * rate)] *= np.linspace(0, 1, round(0.004 * rate), dtype=np.float32)[:count]
    return normalize_loudness(sound, rate)
