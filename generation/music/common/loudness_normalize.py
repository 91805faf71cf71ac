"""Measure and normalize loudness by ITU-R BS.1770; sounds are arrays with channels first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Waveform = NDArray[np.float32]
TARGET = -14.0  # LUFS
CEILING = -1.6  # dBFS: AAC encoding can raise peaks, which must stay under -1
_BLOCK = 32
Curve = np.ndarray[tuple[int], np.dtype[np.complex128]]


def fast_length(samples: int) -> int:
    """The next length for which Fourier transforms are fast."""
    best = 1 << (samples - 1).bit_length()
    for fives in (1, 5, 25):
        for threes in (1, 3, 9, 27):
            odd = fives * threes
            power = max(0, (-(-samples // odd) - 1).bit_length())
            best = min(best, odd << power)
    return best


def k_weights(size: int, rate: int) -> Curve:
    """The K-weighting of ITU-R BS.1770 as a frequency response."""
    z_inverse = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)
    k = np.tan(np.pi * 1681.974450955533 / rate)
    high, quality = 10 ** (3.999843853973347 / 20), 0.7071752369554196
    band = high**0.4996667741545416
    shelf = (
        (high + band * k / quality + k * k)
        + 2 * (k * k - high) * z_inverse
        + (high - band * k / quality + k * k) * z_inverse**2
    )
    shelf /= (
        (1 + k / quality + k * k) + 2 * (k * k - 1) * z_inverse + (1 - k / quality + k * k) * z_inverse**2
    )
    k, quality = np.tan(np.pi * 38.13547087602444 / rate), 0.5003270373238773
    norm = 1 + k / quality + k * k
    below = 1 + 2 * (k * k - 1) / norm * z_inverse + (1 - k / quality + k * k) / norm * z_inverse**2
    response: Curve = shelf * (1 - z_inverse) ** 2 / below
    return response


def lufs(sound: Waveform, rate: int) -> float:
    """Integrated loudness with both gates; without gates if shorter than one block."""
    count = sound.shape[-1]
    size = fast_length(count + rate // 4)
    weighted = np.fft.irfft(np.fft.rfft(sound, size) * k_weights(size, rate), size)[:, :count]
    power = np.concatenate([[0.0], np.cumsum((weighted.astype(np.float64) ** 2).sum(axis=0))])
    block, hop = round(0.4 * rate), round(0.1 * rate)
    starts = np.arange(0, max(1, count - block + 1), hop)
    blocks = (power[np.minimum(count, starts + block)] - power[starts]) / min(block, count)
    loud = blocks[blocks > 10 ** ((-70 + 0.691) / 10)]
    if not len(loud):
        return -70.0
    loud = loud[loud > 0.1 * loud.mean()]
    return float(-0.691 + 10 * np.log10(loud.mean()))


def apply_limiter(sound: Waveform, ceiling: float) -> Waveform:
    """Limit peaks to the ceiling: the gain falls before a peak and rises slowly after it."""
    count = sound.shape[-1]
    padded = np.pad(np.abs(sound).max(axis=0), (0, -count % _BLOCK))
    peaks = padded.reshape(-1, _BLOCK).max(axis=1)
    need = np.minimum(1.0, ceiling / np.maximum(peaks, 1e-9))
    if need.min() >= 1.0:
        return sound
    ahead, after = 4, 60
    held = np.pad(need, (after, ahead), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(held, ahead + 1 + 6)
    lowest = windows.min(axis=1)
    kernel = np.hanning(ahead + 7)[1:-1]
    smooth = np.convolve(np.pad(lowest, (3, 3), mode="edge"), kernel / kernel.sum(), mode="same")
    gain = np.minimum(smooth[3 + after - 6 : 3 + after - 6 + len(need)], need)
    places = np.arange(count)
    curve = np.interp(places, np.arange(len(gain)) * _BLOCK + _BLOCK / 2, gain).astype(np.float32)
    result: Waveform = np.clip(sound * curve, -ceiling, ceiling)
    return result


def normalize_loudness(sound: Waveform, rate: int) -> Waveform:
    """Bring the sound to -14 LUFS with peaks under the ceiling; silence is returned unchanged."""
    ceiling = 10 ** (CEILING / 20)
    loud = lufs(sound, rate)
    if loud <= -69:
        return sound
    gain = TARGET - loud
    for _ in range(3):
        result = apply_limiter(sound * np.float32(10 ** (gain / 20)), ceiling)
        missing = TARGET - lufs(result, rate)
        if abs(missing) < 0.3:
            break
        gain += missing * 1.3
    return result
