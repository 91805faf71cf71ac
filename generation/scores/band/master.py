"""From the band's sound to a finished one: room, glue, loudness, an end."""

from __future__ import annotations

import functools

import numpy as np

from generation.scores.band.synth import Sound, noise, shaped

TARGET = -14.0  # LUFS
CEILING = -1.6  # dBFS, so that what AAC adds stays under -1
_BLOCK = 32
Curve = np.ndarray[tuple[int], np.dtype[np.complex128]]


def fast_length(samples: int) -> int:
    """The next length that Fourier transforms are quick at."""
    best = 1 << (samples - 1).bit_length()
    for fives in (1, 5, 25):
        for threes in (1, 3, 9, 27):
            odd = fives * threes
            power = max(0, (-(-samples // odd) - 1).bit_length())
            best = min(best, odd << power)
    return best


@functools.lru_cache(maxsize=4)
def _room(rate: int) -> Sound:
    """Two ears' worth of a warm room, 1.6 s long, its high notes fading first."""
    count = round(1.6 * rate)
    times = np.arange(count) / rate
    ears = []
    for ear in (1, 2):
        raw = noise(count, 100 + ear)
        dark = shaped(raw, rate, 120, 2200) * np.exp(-times / 0.34)
        bright = shaped(raw, rate, 2200, 8000) * np.exp(-times / 0.16)
        ears.append((dark + 0.7 * bright) * np.clip((times - 0.012) / 0.02, 0, 1))
    room = np.stack(ears)
    room /= np.sqrt((room**2).sum(axis=1, keepdims=True))
    scaled: Sound = room.astype(np.float32)
    return scaled


def reverb(sent: Sound, rate: int) -> Sound:
    """What the room answers to a mono sound, for two ears."""
    room = _room(rate)
    size = fast_length(len(sent) + room.shape[1])
    heard = np.fft.irfft(np.fft.rfft(sent, size) * np.fft.rfft(room, size), size)
    return heard[:, : len(sent)].astype(np.float32, copy=False)


def pumped(sound: Sound, kicks: list[int], depth: float, rate: int) -> Sound:
    """Everything ducks as the kick strikes, and comes back within a beat."""
    gain = np.ones(sound.shape[-1], np.float32)
    dip = (1 - depth * np.exp(-np.arange(round(0.3 * rate)) / (0.09 * rate))).astype(np.float32)
    for kick in kicks:
        part = gain[kick : kick + len(dip)]
        np.minimum(part, dip[: len(part)], out=part)
    return sound * gain


def k_weights(size: int, rate: int) -> Curve:
    """ITU-R BS.1770's ear, as a frequency response."""
    turn = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)
    k = np.tan(np.pi * 1681.974450955533 / rate)
    high, quality = 10 ** (3.999843853973347 / 20), 0.7071752369554196
    band = high**0.4996667741545416
    shelf = (
        (high + band * k / quality + k * k)
        + 2 * (k * k - high) * turn
        + (high - band * k / quality + k * k) * turn**2
    )
    shelf /= (1 + k / quality + k * k) + 2 * (k * k - 1) * turn + (1 - k / quality + k * k) * turn**2
    k, quality = np.tan(np.pi * 38.13547087602444 / rate), 0.5003270373238773
    norm = 1 + k / quality + k * k
    below = 1 + 2 * (k * k - 1) / norm * turn + (1 - k / quality + k * k) / norm * turn**2
    response: Curve = shelf * (1 - turn) ** 2 / below
    return response


def lufs(sound: Sound, rate: int) -> float:
    """Integrated loudness with both gates; of less than one block, loudness without gates."""
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


def limited(sound: Sound, ceiling: float) -> Sound:
    """No sample above the ceiling: the gain goes down before a peak and up after it, slowly."""
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
    result: Sound = np.clip(sound * curve, -ceiling, ceiling)
    return result


def glued(sound: Sound, rate: int) -> Sound:
    """Gentle compression of the whole: loud moments come 2:1 nearer to the rest."""
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
    result: Sound = sound * curve
    return result


def finished(sound: Sound, rate: int, fade: float) -> Sound:
    """At -14 LUFS under the ceiling, beginning and ending in silence."""
    count = sound.shape[-1]
    ceiling = 10 ** (CEILING / 20)
    out = np.linspace(1, 0, max(1, min(count, round(fade * rate))), dtype=np.float32)
    sound = sound.copy()
    sound[:, -len(out) :] *= out * out * (3 - 2 * out)
    sound[:, : round(0.004 * rate)] *= np.linspace(0, 1, round(0.004 * rate), dtype=np.float32)[:count]
    loud = lufs(sound, rate)
    if loud <= -69:
        return sound
    gain = TARGET - loud
    for _ in range(3):
        result = limited(sound * np.float32(10 ** (gain / 20)), ceiling)
        missing = TARGET - lufs(result, rate)
        if abs(missing) < 0.3:
            break
        gain += missing * 1.3
    return result
