"""The parameters of each voice of the synthesizer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """A tone of decaying harmonics, or FM with two operators if `fm_ratio` is set."""

    shape: str = "saw"  # spectrum: saw, square, pulse, triangle, soft, organ, reed, string
    cutoff: float = 4000.0  # Hz above which harmonics fade
    attack: float = 0.005  # seconds
    decay: float = 0.0  # seconds to decay to `sustain`; 0 for no decay
    sustain: float = 0.0
    damp: float = 0.3  # how much faster each higher harmonic decays
    release: float = 0.08
    detune: float = 0.0  # cents between two detuned tones
    vibrato: float = 0.0  # cents
    breath: float = 0.0  # share of noise
    fm_ratio: float = 0.0  # frequency of the modulator divided by that of the carrier
    fm_index: float = 0.0
    fm_index_decay: float = 0.3
    low: int = 0  # pitches outside the range are moved by octaves
    high: int = 127
    drive: float = 0.0  # distortion of the whole part
    cabinet: float = 0.0  # Hz; low-pass of a loudspeaker cabinet for the whole part
    echo: float = 0.0  # level of the repeats
    wide: float = 0.15  # stereo width of the part
    level: float = 0.0  # dB relative to the level of its part


def _bass(**fields: float | str) -> Voice:
    return Voice(**{"low": 28, "high": 55, "wide": 0.0, "damp": 0.5, **fields})  # type: ignore[arg-type]  # fields by name


def _pad(**fields: float | str) -> Voice:
    return Voice(**{"attack": 0.25, "release": 0.5, "sustain": 1.0, "wide": 0.9, **fields})  # type: ignore[arg-type]  # fields by name


VOICES: dict[str, Voice] = {
    # basses
    "round": _bass(shape="triangle", cutoff=700, decay=1.2, sustain=0.3),
    "picked": _bass(shape="string", cutoff=1600, decay=1.0, sustain=0.1, damp=0.4),
    "upright": _bass(shape="soft", cutoff=900, decay=0.7, damp=0.6),
    "contrabass": _bass(shape="saw", cutoff=700, attack=0.05, sustain=1.0, release=0.2, detune=6),
    "sub": _bass(shape="triangle", cutoff=300, attack=0.02, sustain=1.0, release=0.15),
    "saw": _bass(shape="saw", cutoff=900, decay=0.35, sustain=0.35, detune=8, damp=0.25),
    "808": _bass(shape="triangle", cutoff=260, decay=1.4, drive=1.2, release=0.12),
    "triangle": _bass(shape="triangle", cutoff=6000, sustain=1.0, release=0.01),
    "slap": _bass(shape="string", cutoff=4500, decay=0.5, damp=0.8),
    # plucked, struck and blown
    "piano": Voice(shape="piano", cutoff=5000, decay=1.6, damp=0.22, release=0.18, detune=1.5, wide=0.4),
    "epiano": Voice(fm_ratio=1.0, fm_index=1.4, fm_index_decay=0.5, decay=2.2, release=0.15, wide=0.6),
    "guitar": Voice(shape="string", cutoff=3800, decay=0.9, damp=0.35, release=0.12, wide=0.3),
    "harp": Voice(shape="soft", cutoff=5000, decay=1.3, damp=0.3, release=0.5, wide=0.5),
    "pluck": Voice(shape="saw", cutoff=6000, decay=0.4, damp=0.5, release=0.1, detune=7, echo=0.3, wide=0.4),
    "clav": Voice(shape="pulse", cutoff=4000, decay=0.3, damp=0.3, release=0.03, low=48, wide=0.3),
    "skank": Voice(shape="string", cutoff=3500, decay=0.12, damp=0.2, release=0.03, wide=0.3, level=2),
    "arp": Voice(shape="saw", cutoff=3200, decay=0.25, damp=0.4, release=0.08, echo=0.3, wide=0.6),
    "pulse": Voice(shape="pulse", cutoff=12000, sustain=1.0, release=0.005, level=-2),
    "stab": Voice(shape="saw", cutoff=3500, decay=0.5, sustain=0.2, detune=11, release=0.1, wide=0.8),
    "glass": Voice(
        fm_ratio=3.5, fm_index=0.8, fm_index_decay=0.8, decay=2.5, release=1.2, echo=0.35, wide=0.8
    ),
    "vibraphone": Voice(
        fm_ratio=4.0, fm_index=0.5, fm_index_decay=0.15, decay=1.6, release=0.5, wide=0.4, low=60
    ),
    "bell": Voice(
        fm_ratio=3.0, fm_index=1.1, fm_index_decay=0.6, decay=1.8, release=0.9, echo=0.35, wide=0.5, low=67
    ),
    "organ": Voice(shape="organ", cutoff=6000, sustain=1.0, release=0.05, vibrato=6, wide=0.6),
    "staccato": Voice(
        shape="saw", cutoff=2600, attack=0.02, decay=0.22, damp=0.15, release=0.1, detune=9, wide=0.7
    ),
    # pads
    "strings": _pad(shape="saw", cutoff=2600, detune=9, vibrato=5),
    "warm": _pad(shape="soft", cutoff=1800, detune=7),
    "choir": _pad(shape="reed", cutoff=1500, detune=10, vibrato=8, breath=0.03, attack=0.4),
    "analog": _pad(shape="saw", cutoff=1500, detune=12),
    # melody
    "horn": Voice(
        shape="soft", cutoff=1300, attack=0.07, sustain=1.0, release=0.2, detune=4, low=53, high=74
    ),
    "brass": Voice(
        shape="saw", cutoff=3800, attack=0.03, decay=0.4, sustain=0.7, release=0.08, detune=6, high=79
    ),
    "saxophone": Voice(
        shape="reed", cutoff=2600, attack=0.04, sustain=1.0, release=0.1, vibrato=14, breath=0.03, high=79
    ),
    "violin": Voice(shape="saw", cutoff=4200, attack=0.06, sustain=1.0, release=0.15, vibrato=14),
    "cello": Voice(
        shape="saw", cutoff=1600, attack=0.06, sustain=1.0, release=0.2, vibrato=9, low=36, high=67
    ),
    "flute": Voice(
        shape="triangle", cutoff=3500, attack=0.05, sustain=1.0, release=0.12, vibrato=12, breath=0.06
    ),
    "whistle": Voice(
        shape="triangle", cutoff=6000, attack=0.03, sustain=1.0, release=0.08, vibrato=9, breath=0.04
    ),
    "melodica": Voice(
        shape="reed", cutoff=4200, attack=0.03, sustain=1.0, release=0.06, vibrato=7, echo=0.35
    ),
    "synth": Voice(
        shape="saw",
        cutoff=3600,
        attack=0.02,
        sustain=1.0,
        release=0.2,
        detune=9,
        vibrato=8,
        echo=0.35,
        wide=0.5,
    ),
    "square": Voice(shape="square", cutoff=14000, sustain=1.0, release=0.005, vibrato=6),
    "leadguitar": Voice(
        shape="string",
        cutoff=5000,
        decay=2.5,
        damp=0.1,
        release=0.1,
        vibrato=9,
        drive=3,
        cabinet=4200,
        echo=0.2,
    ),
    # played through a loud amplifier
    "overdrive": Voice(
        shape="string",
        cutoff=4500,
        decay=2.0,
        damp=0.15,
        release=0.05,
        low=40,
        high=64,
        drive=3,
        cabinet=4500,
        wide=0.5,
    ),
    "distortion": Voice(
        shape="saw",
        cutoff=5000,
        decay=0.8,
        damp=0.1,
        release=0.02,
        low=34,
        high=58,
        drive=8,
        cabinet=4200,
        wide=0.6,
    ),
}
