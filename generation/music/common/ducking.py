"""Mix the sound of a joint model with music: the music is ducked while the sound is loud."""

from __future__ import annotations

import numpy as np

from generation.clip import Audio
from generation.music.common.audio_finish import Waveform, fit_length, resample, to_stereo

MAX_DUCKING_DB = 9.0
"""Maximum attenuation of the music in dB."""
MUSIC_LEVEL_DB = -6.0
"""Level of the music relative to the sound in dB."""
_BLOCK = 0.02


def mix_with_ducking(native_audio: Audio, music: Audio) -> Audio:
    """Mix both at the music's rate and length, without clipping."""
    sound = fit_length(
        resample(to_stereo(np.nan_to_num(native_audio.samples)), native_audio.rate, music.rate),
        len(music.samples),
    )
    sound_level = _level(sound, music.rate)
    if sound_level <= 0:
        return music
    quieter_music = music.samples * np.float32(
        10 ** (MUSIC_LEVEL_DB / 20) * sound_level / max(_level(music.samples, music.rate), 1e-6)
    )
    both = sound + quieter_music * _ducking_gain(sound, sound_level, music.rate)[:, None]
    peak = float(np.abs(both).max(initial=0.0))
    scaled = both * np.float32(min(1.0, 0.89 / peak)) if peak else both
    return Audio(np.ascontiguousarray(scaled, dtype=np.float32), music.rate)


def _blocks(sound: Waveform, rate: int) -> Waveform:
    block = max(1, round(_BLOCK * rate))
    padded = np.pad((sound**2).mean(axis=1), (0, -len(sound) % block))
    powers: Waveform = np.sqrt(padded.reshape(-1, block).mean(axis=1))
    return powers


def _level(sound: Waveform, rate: int) -> float:
    """RMS level of the loud blocks; 0 for silence."""
    blocks = _blocks(sound, rate)
    loud = blocks[blocks > 0.1 * blocks.max(initial=0.0)]
    return float(np.sqrt((loud**2).mean())) if len(loud) and blocks.max() > 1e-4 else 0.0


def _ducking_gain(sound: Waveform, sound_level: float, rate: int) -> Waveform:
    """The gain of the music: it falls with a time constant of 60 ms and rises with one of 600 ms."""
    blocks = _blocks(sound, rate)
    wanted = 10 ** (-MAX_DUCKING_DB / 20 * np.clip(blocks / (0.5 * sound_level), 0, 1))
    gain, now = np.empty_like(wanted), 1.0
    for place, goal in enumerate(wanted):
        now += (goal - now) * (_BLOCK / 0.06 if goal < now else _BLOCK / 0.6)
        gain[place] = now
    curve = np.interp(np.arange(len(sound)), np.arange(len(gain)) * _BLOCK * rate, gain)
    smooth: Waveform = curve.astype(np.float32)
    return smooth
