"""Arrange a piece: from a music request and a length to notes."""

from __future__ import annotations

import random

from generation.music.band import form, parts
from generation.music.band.notation import Arrangement, ChordSpan
from generation.music.common.genre_tables import Genre
from generation.request import Music


def arrange(music: Music, genre: Genre, seconds: float) -> Arrangement:
    """Arrange the piece; the same music and length give the same arrangement."""
    rng = random.Random(music.seed)  # noqa: S311  (music, not secrets)
    grid = form.grid_for(music, genre, seconds)
    key = form.key_for(music, genre, rng)
    end = form.final_chord_beat(grid, seconds)
    bars = form.bars_for(end, genre.meter)
    slots, final = form.chord_spans_for(genre, key, end, genre.meter, rng)
    last = ChordSpan(float(end), (seconds - grid.seconds_at(end)) * grid.bpm / 60, final)
    voices = form.assign_voices(genre, music.instruments)
    chart = parts.ChordChart(genre, grid, key, slots, last)
    notes = {
        "bass": parts.bass(chart, seconds),
        "comp": parts.comp(chart, seconds),
        "pad": parts.pad(chart, seconds),
        "lead": parts.lead(chart, bars, rng, seconds),
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
        hits=parts.drums(chart, bars, rng) if "drums" in voices else (),
        notes={part: written for part, written in notes.items() if part in voices},
    )
