"""Find the beats of a recording, exactly enough to cut on them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from generation.music.common.audio_finish import Waveform

HOPS_PER_SECOND = 100
"""Measurements of onset strength for each second."""
SLOWEST, FASTEST = 60.0, 180.0
Curve = NDArray[np.float64]


def onset_strength(sound: Waveform, rate: int) -> Curve:
    """How much louder each hundredth of a second is than the one before, summed over frequencies."""
    mono = sound.mean(axis=1)
    hop = rate // HOPS_PER_SECOND
    size = 2 * hop
    count = max(0, (len(mono) - size) // hop + 1)
    if count < 2:
        return np.zeros(max(1, count))
    frames = np.lib.stride_tricks.sliding_window_view(mono, size)[::hop][:count]
    loud = np.log1p(1000 * np.abs(np.fft.rfft(frames * np.hanning(size).astype(np.float32))))
    flux: Curve = np.concatenate([[0.0], np.maximum(0, np.diff(loud, axis=0)).sum(axis=1)])
    return flux


def find_beats(sound: Waveform, rate: int) -> Curve:
    """Times of the beats in seconds, evenly spaced; empty when no beat can be found."""
    flux = onset_strength(sound, rate)
    flux = flux - flux.mean()
    if len(flux) < 3 * HOPS_PER_SECOND or not flux.any():
        return np.empty(0)
    size = 2 * len(flux)
    autocorrelation = np.fft.irfft(np.abs(np.fft.rfft(flux, size)) ** 2)[: len(flux)]
    lags = np.arange(
        round(60 / FASTEST * HOPS_PER_SECOND), min(len(flux) // 2, round(60 / SLOWEST * HOPS_PER_SECOND)) + 1
    )
    near_120 = np.exp(-0.5 * (np.log2(lags / (0.5 * HOPS_PER_SECOND)) / 0.7) ** 2)
    lag = int(lags[(autocorrelation[lags] * near_120).argmax()])
    period = _refine_period(autocorrelation, lag, len(flux))
    offsets = np.arange(0, period, 1.0)
    marks = [flux[(np.arange(offset, len(flux) - 1, period)).astype(int)].mean() for offset in offsets]
    found: Curve = np.arange(float(offsets[int(np.argmax(marks))]), len(flux), period) / HOPS_PER_SECOND
    return found


def _refine_period(autocorrelation: Curve, lag: int, length: int) -> float:
    """Refine the period at multiples of the lag, where a small error is large enough to measure."""
    period = float(lag)
    for times in (2, 4, 8, 16):
        centre = round(period * times)
        if centre + 3 >= length // 2:
            break
        window = autocorrelation[centre - 3 : centre + 4]
        period = (centre - 3 + int(window.argmax())) / times
    return period
