"""Arrange a piece: from a music request and a length to notes."""

from __future__ import annotations

import random

from generation.music.band.form import (
    assign_voices,
    bars_for,
    chord_spans_for,
    final_chord_beat,
    grid_for,
    key_for,
)
from generation.music.band.notation import Arrangement, ChordSpan
from generation.music.band.parts import ChordChart, bass, comp, drums, lead, pad
from generation.music.common.genre_tables import Genre
from generation.request import Music


def arrange(music: Music, genre: Genre, seconds: float) -> Arrangement:
    """Arrange the piece; the same music and length give the same arrangement."""
    rng = random.Random(music.seed)  # noqa: S311  (music, not secrets)
    grid = grid_for(music, genre, seconds)
    key = key_for(music, genre, rng)
    end = final_chord_beat(grid, seconds)
    bars = bars_for(end, genre.meter)
    slots, final = chord_spans_for(genre, key, end, genre.meter, rng)
    last = ChordSpan(float(end), (seconds - grid.seconds_at(end)) * grid.bpm / 60, final)
    voices = assign_voices(genre, music.instruments)
    chart = ChordChart(genre, grid, key, slots, last)
    notes = {
        "bass": bass(chart, seconds),
        "comp": comp(chart, seconds),
        "pad": pad(chart, seconds),
        "lead": lead(chart, bars, rng, seconds),
    }
    return Arrangement(
        genre=genre,
        key=key,
        grid=grid,
        seconds=seconds,
        bars=bars,
        chord_spans=slots,
        final_chord=last,
        voices=voices,
        hits=drums(chart, bars, rng) if "drums" in voices else (),
        notes={part: written for part, written in notes.items() if part in voices},
    )
