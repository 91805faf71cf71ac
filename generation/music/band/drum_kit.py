"""Drum sounds: every drum of every kit, synthesized once and cached."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np

from generation.music.band.synth import Waveform, band_pass, noise


@dataclass(frozen=True, slots=True, kw_only=True)
class Drum:
    """A mix of a falling tone, filtered noise and metallic partials."""

    tone: float = 0.0
    start_hz: float = 120.0  # frequency in Hz at the start
    end_hz: float = 50.0  # frequency in Hz that it falls to
    pitch_drop: float = 0.03  # time constant of the fall in seconds
    tone_decay: float = 0.2
    noise: float = 0.0
    band: tuple[float, float] = (200.0, 8000.0)
    noise_decay: float = 0.1  # seconds
    bursts: int = 1
    attack: float = 0.0005
    metal: float = 0.0
    gate: float = 0.0  # seconds after which the sound is cut; 0 for never
    pan: float = 0.0
    level: float = 1.0
    crush: int = 0  # repeat each sample this often, like the noise of old consoles


_KICK = Drum(
    tone=1.0, start_hz=150, end_hz=52, tone_decay=0.22, noise=0.08, band=(1500, 5000), noise_decay=0.008
)
_SNARE = Drum(
    tone=0.4,
    start_hz=240,
    end_hz=185,
    tone_decay=0.09,
    noise=0.8,
    band=(900, 9000),
    noise_decay=0.13,
    pan=-0.05,
    level=0.8,
)
_HAT = Drum(noise=0.5, metal=0.4, band=(7000, 15000), noise_decay=0.04, pan=0.25, level=0.4)
_TOM = Drum(
    tone=1.0,
    start_hz=170,
    end_hz=95,
    pitch_drop=0.06,
    tone_decay=0.25,
    noise=0.1,
    noise_decay=0.03,
    pan=-0.3,
    level=0.8,
)
_CRASH = Drum(noise=0.6, metal=0.5, band=(3500, 14000), noise_decay=0.9, pan=-0.35, level=0.35)
_RIDE = Drum(noise=0.25, metal=0.6, band=(4500, 13000), noise_decay=0.35, pan=0.35, level=0.3)
_CLAP = Drum(noise=1.0, band=(900, 5000), noise_decay=0.12, bursts=3, pan=0.1, level=0.7)
_RIM = Drum(
    tone=0.8,
    start_hz=900,
    end_hz=820,
    tone_decay=0.02,
    noise=0.3,
    band=(1500, 6000),
    noise_decay=0.015,
    pan=-0.2,
    level=0.5,
)
_SHAKER = Drum(noise=0.8, band=(6000, 14000), noise_decay=0.045, attack=0.015, pan=0.4, level=0.25)
_TAMBOURINE = Drum(
    noise=0.4, metal=0.8, band=(6500, 15000), noise_decay=0.12, attack=0.004, pan=-0.4, level=0.3
)

_STANDARD = {
    "kick": _KICK,
    "snare": _SNARE,
    "hat": _HAT,
    "tom": _TOM,
    "crash": _CRASH,
    "ride": _RIDE,
    "clap": _CLAP,
    "rim": _RIM,
    "shaker": _SHAKER,
    "tambourine": _TAMBOURINE,
}

KITS: dict[str, dict[str, Drum]] = {
    "acoustic": _STANDARD,
    "lofi": _STANDARD
    | {
        "kick": replace(_KICK, start_hz=110, noise=0.02, tone_decay=0.16),
        "snare": replace(_SNARE, band=(500, 4200), noise_decay=0.1, level=0.7),
        "hat": replace(_HAT, metal=0.1, band=(4500, 9000), level=0.35),
    },
    "brush": _STANDARD
    | {
        "kick": replace(_KICK, start_hz=90, end_hz=58, tone_decay=0.12, noise=0.01, level=0.7),
        "snare": replace(_SNARE, tone=0.08, band=(1500, 7000), noise_decay=0.16, attack=0.02, level=0.5),
        "hat": replace(_HAT, noise_decay=0.025, level=0.3),
    },
    "808": _STANDARD
    | {
        "kick": replace(_KICK, start_hz=120, end_hz=45, tone_decay=0.45, noise=0.03),
        "hat": replace(_HAT, noise_decay=0.025, metal=0.6, level=0.4),
        "snare": replace(_SNARE, tone=0.6, tone_decay=0.06),
    },
    "club": _STANDARD
    | {
        "kick": replace(_KICK, start_hz=210, end_hz=50, pitch_drop=0.025, tone_decay=0.2, noise=0.12),
        "hat": replace(_HAT, noise_decay=0.09, level=0.45),
    },
    "gated": _STANDARD
    | {
        "snare": replace(_SNARE, noise=1.0, band=(500, 8000), noise_decay=0.6, gate=0.2, level=0.9),
        "tom": replace(_TOM, tone_decay=0.4, gate=0.25),
    },
    "metal": _STANDARD
    | {
        "kick": replace(
            _KICK, start_hz=200, end_hz=58, tone_decay=0.1, noise=0.35, band=(2500, 7000), noise_decay=0.006
        ),
        "snare": replace(_SNARE, level=0.95, tone_decay=0.06),
    },
    "chip": {
        "kick": Drum(tone=1.0, start_hz=300, end_hz=60, pitch_drop=0.04, tone_decay=0.09),
        "snare": Drum(noise=0.7, band=(100, 9000), noise_decay=0.07, crush=5),
        "hat": Drum(noise=0.35, band=(5000, 16000), noise_decay=0.02, crush=2),
        "tom": Drum(tone=0.8, start_hz=260, end_hz=110, pitch_drop=0.06, tone_decay=0.1),
        "crash": Drum(noise=0.4, band=(1500, 12000), noise_decay=0.3, crush=3),
    },
    "hand": _STANDARD
    | {
        "kick": replace(
            _KICK, start_hz=110, end_hz=78, pitch_drop=0.02, tone_decay=0.14, noise=0.05, level=0.7
        )
    },
    "orchestral": _STANDARD
    | {
        "kick": replace(
            _KICK,
            start_hz=85,
            end_hz=48,
            pitch_drop=0.08,
            tone_decay=0.55,
            noise=0.15,
            band=(100, 900),
            noise_decay=0.08,
        ),
        "tom": replace(_TOM, start_hz=120, end_hz=72, tone_decay=0.4),
        "crash": replace(_CRASH, noise_decay=1.4, attack=0.02),
    },
}
_METAL_PARTIALS = (1.0, 1.342, 1.2312, 1.6532, 1.9523, 2.1523)  # times 4 kHz; inharmonic


@functools.lru_cache(maxsize=256)
def drum_sound(drum: Drum, rate: int) -> Waveform:
    """The sound of one hit."""
    seconds = min(
        2.0, 6 * max(drum.tone_decay if drum.tone else 0, drum.noise_decay if drum.noise or drum.metal else 0)
    )
    count = round((min(seconds, drum.gate + 0.02) if drum.gate else seconds) * rate)
    times = np.arange(count) / rate
    sound = np.zeros(count, np.float32)
    if drum.tone:
        cycles = drum.end_hz * times + (drum.start_hz - drum.end_hz) * drum.pitch_drop * (
            1 - np.exp(-times / drum.pitch_drop)
        )
        sound += (drum.tone * np.sin(2 * np.pi * cycles) * np.exp(-times / drum.tone_decay)).astype(
            np.float32
        )
    envelope = _bursts(drum, times)
    if drum.noise:
        hiss = band_pass(noise(count, 3), rate, *drum.band)
        if drum.crush:
            hiss = np.repeat(hiss[:: drum.crush], drum.crush)[:count]
        sound += drum.noise * 2 * hiss * envelope
    if drum.metal:
        ringing = np.sign(np.sin(np.outer(_METAL_PARTIALS, 8000 * np.pi * times))).sum(axis=0)
        sound += drum.metal * 0.25 * band_pass(ringing.astype(np.float32), rate, *drum.band) * envelope
    return _fade_edges(sound, times) * np.float32(drum.level)


def _bursts(drum: Drum, times: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Waveform:
    """The envelope of the noise; a clap has several bursts."""
    envelope = np.exp(-times / drum.noise_decay) * np.clip(times / drum.attack, 0, 1)
    for burst in range(1, drum.bursts):
        late = times - 0.011 * burst
        envelope = np.maximum(
            envelope * (late < 0) * np.exp(-times / 0.012),
            np.where(late >= 0, np.exp(-late / drum.noise_decay), 0),
        )
    return envelope.astype(np.float32)


def _fade_edges(sound: Waveform, times: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Waveform:
    fade: Waveform = np.clip((times[-1] - times) / 0.02, 0, 1).astype(np.float32)
    return sound * fade * np.clip(times / 0.0005, 0, 1).astype(np.float32)
