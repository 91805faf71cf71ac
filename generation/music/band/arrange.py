"""From Music and a length to the written sheet."""

from __future__ import annotations

import random

from generation.music.band import form, parts
from generation.music.band.notation import Sheet, Slot
from generation.music.common.genre_tables import Genre
from generation.request import Music


def arrange(music: Music, genre: Genre, seconds: float) -> Sheet:
    """Write the piece: the same music and length give the same sheet."""
    rng = random.Random(music.seed)  # noqa: S311  (music, not secrets)
    grid = form.grid_for(music, genre, seconds)
    key = form.key_for(music, genre, rng)
    end = form.last_beat(grid, seconds)
    bars = form.bars_for(end, genre.meter)
    slots, final = form.slots_for(genre, key, end, genre.meter, rng)
    last = Slot(float(end), (seconds - grid.at(end)) * grid.bpm / 60, final)
    voices = form.cast(genre, music.instruments)
    score = parts.Score(genre, grid, key, slots, last)
    notes = {
        "bass": parts.bass(score, seconds),
        "comp": parts.comp(score, seconds),
        "pad": parts.pad(score, seconds),
        "lead": parts.lead(score, bars, rng, seconds),
    }
    return Sheet(
        genre=genre,
        key=key,
        grid=grid,
        seconds=seconds,
        bars=bars,
        slots=slots,
        last=last,
        voices=voices,
        hits=parts.drums(score, bars, rng) if "drums" in voices else (),
        notes={part: written for part, written in notes.items() if part in voices},
    )
