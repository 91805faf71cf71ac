"""Synthesize tones: band-limited, in tune, without clicks."""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from generation.music.band.voices import Voice

Waveform = NDArray[np.float32]
TABLE = 4096
_HARMONICS = 40
_GROUPS = (1, 2, 3, 5, 9, 17, _HARMONICS + 1)


def noise(samples: int, seed: int) -> Waveform:
    """White noise, the same on every machine."""
    raw = random.Random(seed).randbytes(2 * samples)  # noqa: S311  (sound, not secrets)
    white: Waveform = np.frombuffer(raw, "<i2").astype(np.float32) / np.float32(32768)
    return white


def hertz(pitch: float) -> float:
    return 440.0 * math.exp2((pitch - 69) / 12)


def tone(voice: Voice, pitch: int, seconds: float, velocity: float, rate: int) -> Waveform:
    """One note including its release."""
    while pitch < voice.low:
        pitch += 12
    while pitch > voice.high:
        pitch -= 12
    times = _times(round((seconds + 5 * voice.release) * rate), rate)
    is_fm = voice.fm_ratio > 0
    sound = (
        _fm_tone(voice, hertz(pitch), times, velocity) if is_fm else _additive_tone(voice, pitch, times, rate)
    )
    if voice.breath:
        sound += voice.breath * 6 * _breath(len(times), rate)
    result: Waveform = sound * _envelope(voice, seconds, times) * np.float32(velocity)
    return result


def _times(samples: int, rate: int) -> NDArray[np.float64]:
    return np.arange(max(1, samples)) / rate


def _envelope(voice: Voice, seconds: float, times: NDArray[np.float64]) -> Waveform:
    rise = np.clip(times / voice.attack, 0, 1)
    fall = np.exp(-np.maximum(0, times - seconds) / voice.release)
    last = np.clip((times[-1] - times) / (0.5 * voice.release), 0, 1)
    gate: Waveform = (rise * (2 - rise) * fall * last).astype(np.float32)
    return gate


def _fm_tone(voice: Voice, frequency: float, times: NDArray[np.float64], velocity: float) -> Waveform:
    """FM synthesis with two operators: a higher velocity sounds brighter."""
    phase = np.modf(frequency * times)[0].astype(np.float32) * np.float32(2 * np.pi)
    modulator_phase = np.modf(frequency * voice.fm_ratio * times)[0].astype(np.float32) * np.float32(
        2 * np.pi
    )
    index = (voice.fm_index * (0.4 + velocity) * np.exp(-times / voice.fm_index_decay)).astype(np.float32)
    body = np.exp(-times / voice.decay).astype(np.float32)
    sound: Waveform = body * np.sin(phase + index * np.sin(modulator_phase))
    return sound


def _additive_tone(voice: Voice, pitch: int, times: NDArray[np.float64], rate: int) -> Waveform:
    frequency = hertz(pitch)
    cycles = frequency * times
    if voice.vibrato:
        depth = np.clip((times - 0.15) / 0.3, 0, 1) * (2 ** (voice.vibrato / 1200) - 1) * frequency
        cycles = cycles - depth * np.cos(2 * np.pi * 5.2 * times) / (2 * np.pi * 5.2)
    apart = (0.0,) if not voice.detune else (-voice.detune / 2, voice.detune / 2)
    places = [
        ((cycles * 2 ** (cents / 1200) + 0.37 * number) * TABLE).astype(np.int64) & (TABLE - 1)
        for number, cents in enumerate(apart)
    ]
    sound = np.zeros(len(times), np.float32)
    for table, speed in _tables(voice, pitch, rate):
        wave = table[places[0]]
        for place in places[1:]:
            wave = wave + table[place]
        if speed:
            ringing = voice.sustain + (1 - voice.sustain) * np.exp(-times * speed)
            wave = wave * ringing.astype(np.float32)
        sound += wave
    return sound / np.float32(len(places) ** 0.5)


@functools.lru_cache(maxsize=2048)
def _tables(voice: Voice, pitch: int, rate: int) -> tuple[tuple[Waveform, float], ...]:
    """A wavetable for each group of harmonics, and how fast it decays."""
    numbers = np.arange(1, _HARMONICS + 1)
    frequencies = numbers * hertz(pitch)
    strengths = np.array([_SHAPES[voice.shape](n) for n in range(1, _HARMONICS + 1)]) / np.sqrt(
        1 + (frequencies / voice.cutoff) ** 4
    )
    strengths[frequencies > min(0.45 * rate, 16_000)] = 0
    strengths /= np.sqrt((strengths**2).sum())
    groups = _GROUPS if voice.decay and voice.damp else (1, _HARMONICS + 1)
    tables = []
    for first, after in pairwise(groups):
        if not strengths[first - 1 : after - 1].any():
            continue
        spectrum = np.zeros(TABLE // 2 + 1, np.complex128)
        chosen = slice(first, after)
        spectrum[chosen] = -1j * strengths[first - 1 : after - 1] * TABLE / 2
        middle = (first * (after - 1)) ** 0.5
        speed = (1 + voice.damp * (middle - 1)) / voice.decay if voice.decay else 0.0
        tables.append((np.fft.irfft(spectrum, TABLE).astype(np.float32), speed))
    return tuple(tables)


_DRAWBARS = {1: 1.0, 2: 0.7, 3: 0.5, 4: 0.35, 6: 0.2, 8: 0.15}
_SHAPES: dict[str, Callable[[int], float]] = {
    "saw": lambda n: 1 / n,
    "square": lambda n: n % 2 / n,
    "pulse": lambda n: abs(math.sin(math.pi * n / 4)) / n,
    "triangle": lambda n: n % 2 / n**2,
    "soft": lambda n: n**-1.8,
    "piano": lambda n: n**-1.3 * abs(math.sin(math.pi * n / 7.3)),
    "reed": lambda n: (1.0 if n % 2 else 0.45) * n**-0.9,
    "string": lambda n: n**-1.1 * abs(math.sin(math.pi * n / 5.3)),
    "organ": lambda n: _DRAWBARS.get(n, 0.0),
}


@functools.lru_cache(maxsize=4)
def _breath_loop(rate: int) -> Waveform:
    return band_pass(noise(rate, 11), rate, 1500, 6000)


def _breath(samples: int, rate: int) -> Waveform:
    return np.resize(_breath_loop(rate), samples)


def band_pass(sound: Waveform, rate: int, low: float, high: float) -> Waveform:
    """A band-pass filter with soft slopes."""
    spectrum = np.fft.rfft(sound)
    frequencies = np.fft.rfftfreq(len(sound), 1 / rate)
    weight = 1 / np.sqrt(1 + (frequencies / high) ** 6)
    if low:
        weight *= (frequencies / low) ** 3 / np.sqrt(1 + (frequencies / low) ** 6)
    result: Waveform = np.fft.irfft(spectrum * weight, len(sound)).astype(np.float32)
    return result
