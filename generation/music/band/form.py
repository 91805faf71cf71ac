"""The form of a piece: bars, chords, parts, and where it ends."""

from __future__ import annotations

import math
import random

from generation.music.band.notation import Bar, BeatGrid, ChordSpan
from generation.music.common.genre_tables import Genre
from generation.music.common.music_vocabulary import INSTRUMENTS, MOODS, PARTS
from generation.music.common.theory import Chord, Key, parse_chord, parse_key
from generation.request import Music


def grid_for(music: Music, genre: Genre, seconds: float) -> BeatGrid:
    return BeatGrid(
        bpm=music.bpm,
        meter=genre.meter,
        swing=genre.swing,
        swing_on=genre.swing_on,
        lead_in=min(0.03, seconds / 20),  # so that the fade-in does not cover the first beat
    )


def key_for(music: Music, genre: Genre, rng: random.Random) -> Key:
    preferred = MOODS[music.mood].mode if music.mood in MOODS else ""
    modes = [mode for mode, lines in genre.progressions.items() if lines]
    mode = preferred if preferred in modes else rng.choice(modes)
    return parse_key(rng.choice(genre.keys), mode)


def final_chord_beat(grid: BeatGrid, seconds: float) -> int:
    """The beat of the last chord: the latest bar, half bar or beat that leaves it time to ring."""
    beats = (seconds - grid.lead_in) * grid.bpm / 60
    ringing = min(1.4, max(0.2, 0.16 * seconds)) * grid.bpm / 60
    for unit, longest in ((grid.meter, 1.9), (max(1, grid.meter // 2), 2.6), (1, math.inf)):
        if grid.meter % 2 and unit not in {1, grid.meter}:
            continue
        beat = math.floor(max(0.0, beats - ringing) / unit) * unit
        if beat > 0 and (beats - beat) * 60 / grid.bpm <= longest:
            return beat
    return 0


def bars_for(beats: int, meter: int) -> tuple[Bar, ...]:
    """Sections of four bars: an opening, sections with lead, and a quiet section in a long piece."""
    count = math.ceil(beats / meter)
    opening = 0 if count < 6 else 2 if count < 16 else 4
    bars = []
    for number in range(count):
        section, place = divmod(number - opening, 4)
        rests = count >= 20 and section == (count - opening) // 4 * 2 // 3 and section > 0
        last_of_four = place == 3 or number == opening - 1
        bars.append(
            Bar(
                section=section,
                lead=number >= opening and not rests,
                drums=0.5 if number < opening else 0.3 if rests else 1.0,
                fill=last_of_four and count > 4 and number + 1 < count,
                opening=place == 0 or number == 0,
            )
        )
    return tuple(bars)


def chord_spans_for(
    genre: Genre, in_key: Key, beats: int, meter: int, rng: random.Random
) -> tuple[tuple[ChordSpan, ...], Chord]:
    """The chords before the last one, and the last one. A short piece changes chords twice per bar."""
    lines = list(genre.progressions[in_key.mode])
    rng.shuffle(lines)
    if beats <= 4 * meter:  # a short piece starts on the tonic if it can
        lines.sort(key=lambda line: parse_chord(line.split()[0], in_key).root != in_key.tonic)
    before_last, final = (parse_chord(numeral, in_key) for numeral in genre.ending[in_key.mode].split())
    length = meter / 2 if meter % 2 == 0 and beats <= 2 * meter else float(meter)
    count = math.ceil(beats / length)
    slots = []
    for number in range(count):
        start = number * length
        numerals = lines[_line_of(number, len(lines))].split()
        sounding = parse_chord(numerals[number % len(numerals)], in_key)
        if number == count - 1 and count > 1:
            sounding = before_last
        slots.append(ChordSpan(start, min(length, beats - start), sounding))
    return tuple(slots), final


def _line_of(number: int, lines: int) -> int:
    """The progression of this slot: the first one twice, then the second one once."""
    return (number // 4 % 3 == 2) * 1 % lines


def assign_voices(genre: Genre, instruments: tuple[str, ...]) -> dict[str, str]:
    """Assign voices to parts. Named instruments take lead and harmony; drums and bass stay unless named."""
    own = {"drums": genre.kit, "bass": genre.bass, "comp": genre.comp, "pad": genre.pad, "lead": genre.lead}
    if instruments:
        named = _named_parts(instruments)
        harmony = named.keys() & {"comp", "pad"}
        kept = {"drums", "bass"} | (set() if harmony else {"comp"})
        own = {part: voice for part, voice in own.items() if part in kept} | named
        if "drums" in instruments:
            own["drums"] = "acoustic" if genre.kit == "none" else genre.kit
    return {part: voice for part, voice in own.items() if voice and voice != "none"}


def _named_parts(instruments: tuple[str, ...]) -> dict[str, str]:
    parts: dict[str, str] = {}
    for name in instruments:  # the main part of each first, so that two instruments get different parts
        for part, voice in INSTRUMENTS[name].parts.items():
            if part not in parts:
                parts[part] = voice
                break
    for name in instruments:
        for part, voice in INSTRUMENTS[name].parts.items():
            if part in {"comp", "lead"}:
                parts.setdefault(part, voice)
    return {part: parts[part] for part in PARTS if part in parts}
