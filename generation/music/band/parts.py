"""Write the parts over the chords: bass, comping, pad, lead, drums."""

from __future__ import annotations

import random
from collections.abc import Iterator

from generation.music.band.notation import Bar, BeatGrid, ChordSpan, Hit, Note
from generation.music.common.genre_tables import Genre
from generation.music.common.theory import Key, lowest_pitch_from, voicing

BASS_FLOOR, COMP_FLOOR, PAD_FLOOR, LEAD_FLOOR, LEAD_TOP = 28, 53, 57, 67, 86
LOUDNESS = {"X": 1.0, "x": 0.75, "o": 0.35}
_DEFAULT_DRUMS = {"kick": "X.......x.......", "snare": "....x.......x...", "hat": "x.x.x.x.x.x.x.x."}


class ChordChart:
    """The chords on the beat grid, from which each part is written."""

    def __init__(
        self, genre: Genre, grid: BeatGrid, key: Key, slots: tuple[ChordSpan, ...], last: ChordSpan
    ) -> None:
        self.genre, self.grid, self.key, self.chord_spans, self.final_chord = genre, grid, key, slots, last

    def strokes(self, line: str) -> Iterator[tuple[int, str, float, float]]:
        """Every stroke of a pattern: index of its chord, letter, start and length in beats."""
        per_bar = len(line)
        for number, slot in enumerate(self.chord_spans):
            first = round(slot.start * 4)
            steps = round(slot.beats * 4)
            letters = [line[(first + step) % per_bar] for step in range(steps)]
            if letters and letters[0] == "-":  # a note is not held beyond its chord
                letters[0] = next((one for one in line if one not in "-."), ".")
            for step, letter in enumerate(letters):
                if letter in "-.":
                    continue
                held = step + 1
                while held < steps and letters[held] == "-":
                    held += 1
                yield number, letter, slot.start + step / 4, (held - step) / 4

    def note(self, beat: float, beats: float, pitch: int, loud: float) -> Note:
        start = self.grid.seconds_at(beat)
        return Note(start, self.grid.seconds_at(beat + beats) - start, pitch, loud)

    def final(self, pitches: tuple[int, ...], loud: float, seconds: float) -> tuple[Note, ...]:
        start = self.grid.seconds_at(self.final_chord.start)
        return tuple(Note(start, seconds - start, pitch, loud) for pitch in pitches)


def bass(chart: ChordChart, seconds: float) -> tuple[Note, ...]:
    notes = []
    chords = [slot.chord for slot in chart.chord_spans] + [chart.final_chord.chord]
    for number, letter, beat, beats in chart.strokes(chart.genre.bass_line):
        chord = chords[number]
        root = lowest_pitch_from(chord.root, BASS_FLOOR)
        third, fifth = chord.intervals[1], next((i for i in chord.intervals if i in {6, 7}), 7)
        following = lowest_pitch_from(chords[number + 1].root, BASS_FLOOR)
        pitch = {
            "1": root,
            "3": root + third,
            "5": root + fifth,
            "8": root + 12,
            "a": following + (1 if following < root else -1),
        }[letter]
        notes.append(chart.note(beat, beats, pitch, 0.85 if beat % 1 == 0 else 0.7))
    final = lowest_pitch_from(chart.final_chord.chord.root, BASS_FLOOR)
    return (*notes, *chart.final((final,), 0.9, seconds))


def comp(chart: ChordChart, seconds: float) -> tuple[Note, ...]:
    shapes = _voicings(chart, COMP_FLOOR)
    notes: list[Note] = []
    for number, letter, beat, beats in chart.strokes(chart.genre.comp_line):
        shape = shapes[number]
        loud = 0.8 if beat % 1 == 0 else 0.65
        if letter == "x":
            notes.extend(chart.note(beat, beats, pitch, loud) for pitch in shape)
        else:
            octave, place = divmod(int(letter) - 1, 4)
            extra, place = divmod(place, len(shape))
            notes.append(chart.note(beat, max(beats, 0.5), shape[place] + 12 * (octave + extra), loud))
    return (*notes, *chart.final(shapes[-1], 0.75, seconds))


def pad(chart: ChordChart, seconds: float) -> tuple[Note, ...]:
    shapes = _voicings(chart, PAD_FLOOR)
    notes = [
        chart.note(slot.start, slot.beats, pitch, 0.6)
        for slot, shape in zip(chart.chord_spans, shapes, strict=False)
        for pitch in shape
    ]
    return (*notes, *chart.final(shapes[-1], 0.6, seconds))


def _voicings(chart: ChordChart, floor: int) -> list[tuple[int, ...]]:
    shapes: list[tuple[int, ...]] = []
    for slot in (*chart.chord_spans, chart.final_chord):
        shapes.append(voicing(slot.chord, shapes[-1] if shapes else (), floor))
    return shapes


def lead(chart: ChordChart, bars: tuple[Bar, ...], rng: random.Random, seconds: float) -> tuple[Note, ...]:
    """Motifs for the kinds of sections, moved with the chords; ends on a tone of the last chord."""
    steps = chart.genre.steps
    scale = [p for p in range(LEAD_FLOOR, LEAD_TOP) if p % 12 in chart.key.scale]
    motifs = [_motif(rng, line) for line in chart.genre.lead_lines]
    place = len(scale) // 3
    notes: list[Note] = []
    for number, bar in enumerate(bars):
        if not bar.lead:
            continue
        line, moves = motifs[_motif_of(number, bar, len(motifs))]
        anchor = place
        for step, beats, move in _motif_notes(line, moves):
            beat = number * chart.grid.meter + step / 4
            if beat >= chart.final_chord.start:
                break
            slot = max((s for s in chart.chord_spans if s.start <= beat), key=lambda s: s.start)
            strong = step % (steps // chart.grid.meter * 2) == 0 or beats >= 1
            place = _nearest_scale_index(scale, anchor + move, slot, strong=strong)
            held = min(beats, chart.final_chord.start - beat)
            notes.append(chart.note(beat, held, scale[place], 0.85 if strong else 0.7))
        place = max(2, min(len(scale) - 4, place))
    if not notes:
        return chart.final((lowest_pitch_from(chart.final_chord.chord.root, LEAD_FLOOR),), 0.7, seconds)
    home = [p for p in range(LEAD_FLOOR, LEAD_TOP) if p % 12 in chart.final_chord.chord.tones[:3]]
    return (*notes, *chart.final((min(home, key=lambda p: abs(p - notes[-1].pitch)),), 0.75, seconds))


def _motif_of(number: int, bar: Bar, count: int) -> int:
    """Bars 1 and 3 of four share a motif, 2 and 4 another; every third section shifts by one motif."""
    return (number % 2 + (bar.section % 3 == 2)) % count


def _motif(rng: random.Random, line: str) -> tuple[str, tuple[int, ...]]:
    """A rhythm, and for each note its distance in scale steps from the bar's first note."""
    moves, at = [], 0
    for _ in range(line.count("x")):
        moves.append(at)
        at += rng.choice((-2, -1, -1, 1, 1, 2, 3 if at < 0 else -3))
        at = max(-4, min(4, at))
    return line, tuple(moves)


def _motif_notes(line: str, moves: tuple[int, ...]) -> Iterator[tuple[int, float, int]]:
    strokes = [step for step, letter in enumerate(line) if letter == "x"]
    for step, move in zip(strokes, moves, strict=True):
        held = step + 1
        while held < len(line) and line[held] == "-":
            held += 1
        yield step, (held - step) / 4, move


def _nearest_scale_index(scale: list[int], wanted: int, slot: ChordSpan, *, strong: bool) -> int:
    """The index in the scale nearest to the wanted one; on a strong beat that of a chord tone."""
    wanted = max(0, min(len(scale) - 1, wanted))
    indices = range(len(scale))
    if strong:
        fitting = [i for i in indices if scale[i] % 12 in slot.chord.tones]
    else:  # avoid scale notes a semitone from a chord tone outside the scale
        outside_scale = {t for t in slot.chord.tones if t not in {p % 12 for p in scale}}
        fitting = [i for i in indices if not {(scale[i] + 1) % 12, (scale[i] - 1) % 12} & outside_scale]
    return min(fitting or indices, key=lambda i: (abs(i - wanted), i))


def drums(chart: ChordChart, bars: tuple[Bar, ...], rng: random.Random) -> tuple[Hit, ...]:
    hits: list[Hit] = []
    patterns = chart.genre.drums or {
        piece: line[: chart.genre.steps] for piece, line in _DEFAULT_DRUMS.items()
    }
    end = chart.final_chord.start
    for number, bar in enumerate(bars):
        for piece, line in patterns.items():
            if not _plays(chart.genre, piece, number, bar):
                continue
            filled = bar.fill and "snare" in patterns and piece in {"snare", "hat"}
            until = min(len(line) - 4 * filled, round((end - number * chart.grid.meter) * 4))
            hits.extend(
                Hit(chart.grid.seconds_at_step(number, step), piece, LOUDNESS[letter] * rng.uniform(0.9, 1.0))
                for step, letter in enumerate(line[: max(0, until)])
                if letter != "."
            )
        if bar.fill and "snare" in patterns:
            hits.extend(_fill(chart, number, rng))
    last = {"kick": 0.9 * ("kick" in patterns), "crash": 0.5 * ("crash" in patterns or "snare" in patterns)}
    return (*hits, *(Hit(chart.grid.seconds_at(end), piece, loud) for piece, loud in last.items() if loud))


def _plays(genre: Genre, piece: str, number: int, bar: Bar) -> bool:
    if bar.drums < 1 and piece in {"snare", "clap", "crash"}:
        return False
    if bar.drums < 0.4 and piece == "kick":
        return False
    every = genre.every.get(piece, 1)
    return number % every == (0 if piece == "crash" else every - 1)


def _fill(chart: ChordChart, number: int, rng: random.Random) -> Iterator[Hit]:
    steps = chart.genre.steps
    for step, letter in enumerate(rng.choice(("xxxx", "x.xx", "x.xX", "xx.x"))):
        if letter != ".":
            piece = "tom" if step >= 2 else "snare"
            at = steps - 4 + step
            if number * chart.grid.meter + at / 4 < chart.final_chord.start:
                yield Hit(
                    chart.grid.seconds_at_step(number, at), piece, LOUDNESS[letter] * (0.7 + 0.08 * step)
                )
