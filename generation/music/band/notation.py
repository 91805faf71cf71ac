"""An arranged piece as data: notes, drum hits, chords, bars. The same input gives the same data."""

from __future__ import annotations

from dataclasses import dataclass

from generation.music.common.genre_tables import Genre
from generation.music.common.theory import Chord, Key


@dataclass(frozen=True, slots=True)
class Note:
    start: float  # seconds
    seconds: float
    pitch: int
    velocity: float  # 0..1


@dataclass(frozen=True, slots=True)
class Hit:
    start: float
    piece: str
    velocity: float


@dataclass(frozen=True, slots=True)
class ChordSpan:
    """A chord, and when it sounds, in beats."""

    start: float
    beats: float
    chord: Chord


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of the form: which parts play, and whether it ends with a fill."""

    section: int
    lead: bool = True
    drums: float = 1.0  # share of the kit that plays: 0 for none, below 1 without snare
    fill: bool = False
    opening: bool = False  # first of its section


@dataclass(frozen=True, slots=True, kw_only=True)
class BeatGrid:
    """Converts beats to seconds, with the genre's swing. The first beat is at `lead_in`."""

    bpm: float
    meter: int
    swing: float
    swing_on: int
    lead_in: float

    def seconds_at(self, beat: float) -> float:
        unit = 1.0 if self.swing_on == 8 else 0.5
        whole, rest = divmod(beat + 1e-9, unit)
        half, late = unit / 2, self.swing * unit / 2
        if rest < half:
            warped = rest * (half + late) / half
        else:
            warped = half + late + (rest - half) * (half - late) / half
        return self.lead_in + (whole * unit + warped) * 60 / self.bpm

    def seconds_at_step(self, bar: int, step: int) -> float:
        """The time of a step of a pattern; four steps are a beat."""
        return self.seconds_at(bar * self.meter + step / 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrangement:
    genre: Genre
    key: Key
    grid: BeatGrid
    seconds: float
    bars: tuple[Bar, ...]
    chord_spans: tuple[ChordSpan, ...]  # without the last chord
    final_chord: ChordSpan
    voices: dict[str, str]  # part -> voice
    hits: tuple[Hit, ...]
    notes: dict[str, tuple[Note, ...]]  # part -> its notes

    @property
    def end(self) -> float:
        """The time at which the last chord starts."""
        return self.grid.seconds_at(self.final_chord.start)
