"""Render an arrangement to sound: voices, drums, levels, effects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from generation.music.band.drum_kit import KITS, Drum, drum_sound
from generation.music.band.master import compress, duck_on_kicks, finish_mix, reverb
from generation.music.band.notation import Arrangement, Hit, Note
from generation.music.band.synth import Waveform, band_pass, noise, tone
from generation.music.band.voices import VOICES, Voice
from generation.progress import OnStep

LEVELS = {"drums": -14.0, "bass": -15.0, "comp": -19.0, "pad": -24.0, "lead": -17.5}
"""Level of each part while it plays, in dB RMS, the same for every voice."""
REVERB_SENDS = {"drums": 0.25, "bass": 0.0, "comp": 0.7, "pad": 0.8, "lead": 1.0}
_SOFT_DRUM_MOODS = {"calm", "sad", "dreamy", "romantic", "mysterious", "warm"}


def render_mix(arrangement: Arrangement, mood: str, samples: int, rate: int, on_step: OnStep) -> Waveform:
    """Mix and master exactly this many stereo samples."""
    total = len(arrangement.notes) + (1 if arrangement.hits else 0) + 2
    mix = np.zeros((2, samples), np.float32)
    reverb_input = np.zeros(samples, np.float32)
    kicks = [round(hit.start * rate) for hit in arrangement.hits if hit.piece == "kick"]
    for done, (part, notes) in enumerate(arrangement.notes.items()):
        on_step(done, total)
        voice = VOICES[arrangement.voices[part]]
        bus = _set_level(_part(voice, notes, arrangement, samples, rate), LEVELS[part] + voice.level, rate)
        if arrangement.genre.pump:
            bus = duck_on_kicks(bus, kicks, arrangement.genre.pump, rate)
        mix += bus
        reverb_input += REVERB_SENDS[part] * bus.mean(axis=0)
    if arrangement.hits:
        on_step(len(arrangement.notes), total)
        softer = -4.0 if mood in _SOFT_DRUM_MOODS else 0.0
        bus = _drums(KITS[arrangement.voices["drums"]], arrangement.hits, samples, rate)
        bus = _set_level(bus, LEVELS["drums"] + softer, rate)
        mix += bus
        reverb_input += REVERB_SENDS["drums"] * bus.mean(axis=0)
    on_step(total - 2, total)
    mix += _texture(arrangement.genre.texture, samples, rate)
    mix += np.float32(arrangement.genre.space * 1.6) * reverb(reverb_input, rate)
    return _master(mix, arrangement, samples, rate, on_step, total)


def _master(
    mix: Waveform, arrangement: Arrangement, samples: int, rate: int, on_step: OnStep, total: int
) -> Waveform:
    compressed = compress(mix, rate)
    if arrangement.genre.drive:
        drive_gain = np.float32(
            (1 + 2 * arrangement.genre.drive) / max(1e-6, float(np.abs(compressed).max()))
        )
        compressed = np.tanh(compressed * drive_gain)
    on_step(total - 1, total)
    fade = max(0.02, 0.55 * (samples / rate - arrangement.end))
    result = finish_mix(compressed, rate, min(fade, 1.2))
    on_step(total, total)
    return result


def _part(voice: Voice, notes: Sequence[Note], arrangement: Arrangement, samples: int, rate: int) -> Waveform:
    bus = np.zeros((2, samples), np.float32)
    rendered: dict[tuple[int, float, float], Waveform] = {}
    for note in notes:
        start = round(note.start * rate)
        if start >= samples:
            continue
        note_key = (note.pitch, round(note.seconds, 4), note.velocity)
        if note_key not in rendered:
            rendered[note_key] = tone(voice, *note_key, rate)
        sound = rendered[note_key][: samples - start]
        side = voice.wide * (((note.pitch * 5) % 12) / 5.5 - 1)
        _add(bus, sound, start, side)
    if voice.drive:
        bus = _apply_drive(bus, voice, rate)
    if voice.echo:
        _echo(bus, voice.echo, round(0.75 * 60 / arrangement.grid.bpm * rate))
    return bus


def _drums(pieces: dict[str, Drum], hits: Sequence[Hit], samples: int, rate: int) -> Waveform:
    bus = np.zeros((2, samples), np.float32)
    for hit in hits:
        drum = pieces.get(hit.piece)
        start = round(hit.start * rate)
        if drum is not None and start < samples:
            _add(bus, drum_sound(drum, rate)[: samples - start] * np.float32(hit.velocity), start, drum.pan)
    return bus


def _add(bus: Waveform, sound: Waveform, start: int, side: float) -> None:
    """Add a sound to the bus; `side` is -1 for left, 1 for right."""
    left, right = np.cos((side + 1) * np.pi / 4), np.sin((side + 1) * np.pi / 4)
    bus[0, start : start + len(sound)] += np.float32(left) * sound
    bus[1, start : start + len(sound)] += np.float32(right) * sound


def _apply_drive(bus: Waveform, voice: Voice, rate: int) -> Waveform:
    peak = np.float32(max(1e-6, float(np.abs(bus).max())))
    driven: Waveform = np.tanh(bus / peak * np.float32(1 + voice.drive))
    return (
        np.stack([band_pass(channel, rate, 70, voice.cabinet) for channel in driven])
        if voice.cabinet
        else driven
    )


def _echo(bus: Waveform, loud: float, delay: int) -> None:
    dry = bus.copy()
    for repeat in (1, 2, 3):
        late = repeat * delay
        if late < bus.shape[1]:
            bus[:, late:] += (
                np.float32(loud**repeat) * dry[:: -1 if repeat % 2 else 1][:, : bus.shape[1] - late]
            )


def _set_level(bus: Waveform, level: float, rate: int) -> Waveform:
    """Scale the bus to this level, measured only where it sounds."""
    block = max(1, rate // 20)
    whole = bus.shape[1] // block * block
    powers = (
        (bus[:, :whole] ** 2).mean(axis=0).reshape(-1, block).mean(axis=1)
        if whole
        else (bus**2).mean(keepdims=True)
    )
    peak = float(powers.max())
    if peak <= 0:
        return bus
    usual = float(powers[powers > 0.05 * peak].mean())
    return bus * np.float32(10 ** (level / 20) / usual**0.5)


def _texture(name: str, samples: int, rate: int) -> Waveform:
    """A quiet background: vinyl crackle or air noise."""
    quiet = np.zeros((2, samples), np.float32)
    if not name:
        return quiet
    loop = noise(2 * rate, 21)
    if name == "air":
        bed = band_pass(loop, rate, 300, 1800) * np.float32(0.02)
    else:
        dust = np.where(np.abs(noise(2 * rate, 22)) > 0.9997, loop, 0).astype(np.float32)
        bed = band_pass(dust, rate, 1200, 7000) * np.float32(0.08) + band_pass(
            loop, rate, 200, 5000
        ) * np.float32(0.002)
    quiet += np.resize(bed, samples)
    return quiet
