"""Measurements of audio for tests: pitch, onsets, loudness."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from generation.clip import Audio
from generation.music.common.theory import SCALES, Key

Curve = NDArray[np.float64]


def mono(audio: Audio) -> Curve:
    mixed: Curve = audio.samples.mean(axis=1).astype(np.float64)
    return mixed


def chroma(audio: Audio) -> Curve:
    """The share of each pitch class in the spectral peaks between 100 and 1600 Hz."""
    frequencies, _, spectra = signal.stft(
        mono(audio), audio.rate, nperseg=2 ** round(math.log2(audio.rate / 3))
    )
    in_range = (frequencies > 100) & (frequencies < 1600)
    loud = np.abs(spectra[in_range])
    loud[loud < 0.1 * loud.max(axis=0)] = 0
    classes = np.round(69 + 12 * np.log2(frequencies[in_range] / 440)).astype(int) % 12
    sums = np.bincount(classes, weights=loud.sum(axis=1), minlength=12)
    shares: Curve = sums / sums.sum()
    return shares


def best_scale(shares: Curve, mode: str) -> int:
    """The tonic whose scale contains the largest share of the pitch classes."""
    return max(range(12), key=lambda tonic: sum(shares[(tonic + step) % 12] for step in SCALES[mode]))


def fifths_apart(key: Key, tonic: int) -> int:
    steps = (tonic - key.tonic) * 7 % 12
    return min(steps, 12 - steps)


def onsets(audio: Audio) -> Curve:
    """Times of clear onsets in seconds, by spectral flux."""
    hop = audio.rate // 200
    _, times, spectra = signal.stft(mono(audio), audio.rate, nperseg=4 * hop, noverlap=3 * hop)
    rise = np.maximum(0, np.diff(np.log1p(1e4 * np.abs(spectra)), axis=1)).sum(axis=0)
    peaks, _ = signal.find_peaks(rise, height=np.median(rise) + 1.5 * rise.std(), distance=8)
    found: Curve = times[peaks + 1]
    return found


def lowest_pitch(sound: Curve, rate: int) -> float:
    """The strongest frequency below 180 Hz, as a MIDI pitch."""
    size = 2**17
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), size))
    frequencies = np.fft.rfftfreq(size, 1 / rate)
    low = (frequencies > 30) & (frequencies < 180)
    return float(69 + 12 * np.log2(frequencies[low][spectrum[low].argmax()] / 440))


def loudness(audio: Audio) -> float:
    """Integrated loudness by ITU-R BS.1770, filtered in time, independent of the tested implementation."""
    assert audio.rate == 48_000  # the standard defines its filters for this rate
    sound = audio.samples.T.astype(np.float64)
    shelf = (
        [1.53512485958697, -2.69169618940638, 1.19839281085285],
        [1.0, -1.69065929318241, 0.73248077421585],
    )
    high = ([1.0, -2.0, 1.0], [1.0, -1.99004745483398, 0.99007225036621])
    weighted = signal.lfilter(*high, signal.lfilter(*shelf, sound)) ** 2
    block = min(sound.shape[1], round(0.4 * audio.rate))
    starts = range(0, sound.shape[1] - block + 1, block // 4)
    powers = np.array([weighted[:, at : at + block].mean(axis=1).sum() for at in starts])
    loud = powers[-0.691 + 10 * np.log10(powers + 1e-12) > -70]
    loud = loud[loud > 0.1 * loud.mean()]
    return float(-0.691 + 10 * np.log10(loud.mean()))


def true_peak(audio: Audio) -> float:
    """dBTP: the peak of the sound at four times the rate."""
    return float(20 * np.log10(np.abs(signal.resample_poly(audio.samples, 4, 1, axis=0)).max()))
