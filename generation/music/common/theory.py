"""Keys, scales and chords: pitch classes are semitones above C, pitches are MIDI numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass

NAMES = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
_LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_SHIFT = {"": 0, "b": -1, "#": 1}
SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
_DEGREES = {"I": 0, "II": 2, "III": 4, "IV": 5, "V": 7, "VI": 9, "VII": 11}
_NUMERAL = re.compile(r"([b#]?)(VII|VI|V|IV|III|II|I|vii|vi|v|iv|iii|ii|i)(.*)")
_QUALITIES: dict[
    str, tuple[int | None, ...]
] = {  # None is the third: major or minor by the case of the numeral
    "": (0, None, 7),
    "5": (0, 7, 12),
    "7": (0, None, 7, 10),
    "m7": (0, 3, 7, 10),
    "maj7": (0, None, 7, 11),
    "9": (0, None, 7, 10, 14),
    "m9": (0, 3, 7, 10, 14),
    "maj9": (0, None, 7, 11, 14),
    "69": (0, None, 7, 9, 14),
    "add9": (0, None, 7, 14),
    "sus2": (0, 2, 7),
    "sus4": (0, 5, 7),
    "m7b5": (0, 3, 6, 10),
    "dim": (0, 3, 6),
}


@dataclass(frozen=True, slots=True)
class Key:
    tonic: int
    mode: str

    @property
    def scale(self) -> frozenset[int]:
        return frozenset((self.tonic + step) % 12 for step in SCALES[self.mode])

    def __str__(self) -> str:
        return f"{NAMES[self.tonic]} {self.mode}"


@dataclass(frozen=True, slots=True)
class Chord:
    root: int
    intervals: tuple[int, ...]  # semitones above the root, upward

    @property
    def tones(self) -> tuple[int, ...]:
        return tuple(dict.fromkeys((self.root + step) % 12 for step in self.intervals))


def parse_key(name: str, mode: str) -> Key:
    """A key by its tonic's name, like "Eb"; raises ValueError."""
    found = re.fullmatch(r"([A-G])([b#]?)", name)
    if found is None or mode not in SCALES:
        raise ValueError(f"{name!r} {mode!r} is not a key")
    return Key((_LETTERS[found[1]] + _SHIFT[found[2]]) % 12, mode)


def parse_chord(numeral: str, in_key: Key) -> Chord:
    """A chord by its roman numeral over the major scale of the tonic; raises ValueError."""
    found = _NUMERAL.fullmatch(numeral)
    if found is None or found[3] not in _QUALITIES:
        raise ValueError(f"{numeral!r} is not a chord")
    third = 4 if found[2].isupper() else 3
    root = (in_key.tonic + _DEGREES[found[2].upper()] + _SHIFT[found[1]]) % 12
    return Chord(root, tuple(third if step is None else step for step in _QUALITIES[found[3]]))


def lowest_pitch_from(pitch_class: int, floor: int) -> int:
    """The lowest pitch of this class that is not below the floor."""
    return floor + (pitch_class - floor) % 12


def voicing(of: Chord, before: tuple[int, ...], floor: int) -> tuple[int, ...]:
    """The inversion of the chord closest to the notes before it, so that each voice moves little."""
    tones = of.tones if len(of.tones) < 5 else of.tones[1:]  # with five notes the root is left to the bass
    bases = (floor, floor + 4, floor + 8)
    shapes = [tuple(sorted(lowest_pitch_from(tone, base) for tone in tones)) for base in bases]
    if not before:
        return shapes[0]
    return min(shapes, key=lambda shape: (_movement(shape, before), shape))


def _movement(shape: tuple[int, ...], before: tuple[int, ...]) -> int:
    return sum(min(abs(note - old) for old in before) for note in shape) + abs(shape[-1] - before[-1])
