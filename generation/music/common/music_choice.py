"""Complete a user's music options: choose what they left open, and build the music request."""

from __future__ import annotations

import re
from collections.abc import Mapping

from generation.errors import MelodyNotSupported, OutOfRange, UnknownChoice
from generation.music.common.genre_tables import (
    FASTEST,
    NATIVE,
    OWN_TRACK,
    RESERVED,
    SILENT,
    SLOWEST,
    Genre,
    GenreBroken,
    read_genres,
)
from generation.music.common.music_vocabulary import (
    FAST_WORDS,
    INSTRUMENTS,
    MOODS,
    SLOW_WORDS,
    TEMPOS,
    count_mentions,
    find_instrument,
    instrument_names,
)
from generation.request import Music, MusicWish, check_choice, closest_match

__all__ = [
    "MOODS",
    "NATIVE",
    "OWN_TRACK",
    "SILENT",
    "TEMPOS",
    "Genre",
    "GenreBroken",
    "choose_music",
    "infer_genre",
    "instrument_names",
    "read_genres",
    "tempo_word",
]


def choose_music(  # noqa: PLR0913  (the wish, and everything that it is matched against)
    wish: MusicWish,
    prompt: str,
    *,
    seconds: float,
    genres: Mapping[str, Genre],
    maker: str,
    seed: int,
    makers: tuple[str, ...] = (),
    melody_makers: tuple[str, ...] = (),
) -> tuple[Music, tuple[str, ...]]:
    """Complete the wish; also returns which of genre, mood and tempo were not given by the user.

    `makers` are the allowed makers; if empty, any name is accepted. `melody_makers` are those that can
    follow a melody. Raises UnknownChoice, OutOfRange and MelodyNotSupported.
    """
    if wish.maker is not None and makers:
        check_choice("maker", wish.maker, makers)
    maker = wish.maker or maker
    chosen_seed = seed if wish.seed is None else wish.seed
    named = _genre_name(wish, genres)
    if named in {SILENT, NATIVE}:
        return Music(genre=named, maker=maker, seed=chosen_seed), ()
    if wish.track is not None:
        return Music(genre=OWN_TRACK, maker="track", track=wish.track, seed=chosen_seed), ()
    if wish.melody is not None:
        maker = _melody_maker(wish, maker, melody_makers)
    genre = genres[named or infer_genre(prompt, genres)]
    mood = _mood(wish, prompt, genre, chosen_seed)
    bpm = _bpm(wish, prompt, mood, genre, seconds)
    instruments = _instruments(wish)
    music = Music(
        genre=genre.name,
        maker=maker,
        mood=mood,
        bpm=bpm,
        instruments=instruments,
        words=_music_prompt(genre, mood, bpm, instruments),
        seed=chosen_seed,
        melody=wish.melody,
    )
    given = {"genre": named, "mood": wish.mood, "tempo": wish.tempo}
    return music, tuple(option for option, value in given.items() if value is None)


def _melody_maker(wish: MusicWish, maker: str, melody_makers: tuple[str, ...]) -> str:
    """The maker that follows the melody: the named one if it can, else the first that can."""
    if maker in melody_makers:
        return maker
    if wish.maker is not None or not melody_makers:
        raise MelodyNotSupported(maker)
    return melody_makers[0]


def infer_genre(prompt: str, genres: Mapping[str, Genre]) -> str:
    """The genre with most of its words in the prompt; the first genre if there are none."""
    scores = {
        name: 2 * count_mentions(prompt, (*genre.words, name)) + count_mentions(prompt, genre.hints)
        for name, genre in genres.items()
    }
    return max(scores, key=lambda name: scores[name])


def tempo_word(bpm: float, genre: Genre) -> str:
    """A word for this tempo, relative to the range of the genre."""
    low, _, high = genre.bpm
    place = (bpm - low) / (high - low) if high > low else 0.5
    return "slow" if place < 0.34 else "fast" if place > 0.66 else "medium"


def _genre_name(wish: MusicWish, genres: Mapping[str, Genre]) -> str | None:
    if wish.genre is None:
        return None
    wanted = wish.genre.strip().lower()
    by_title = {genre.title.lower(): name for name, genre in genres.items()}
    wanted = by_title.get(wanted, wanted)
    choices = (*genres, SILENT, NATIVE)
    if wanted in RESERVED and wanted not in choices:
        raise UnknownChoice("genre", wish.genre, None, choices)
    check_choice("genre", wanted, choices)
    return wanted


def _mood(wish: MusicWish, prompt: str, genre: Genre, seed: int) -> str:
    if wish.mood is not None:
        mood = wish.mood.strip().lower()
        check_choice("mood", mood, tuple(MOODS))
        return mood
    scores = {
        name: count_mentions(prompt, (*mood.words, name)) + 0.5 * (name in genre.moods)
        for name, mood in MOODS.items()
    }
    best = max(scores, key=lambda name: scores[name])
    if scores[best] >= 1:
        return best
    return genre.moods[seed % len(genre.moods)] if genre.moods else ""


def _bpm(wish: MusicWish, prompt: str, mood: str, genre: Genre, seconds: float) -> float:
    if wish.tempo is not None:
        asked = _parse_tempo(wish.tempo)
        if isinstance(asked, float):
            return asked
        range_fraction = asked[0]
    elif count_mentions(prompt, SLOW_WORDS) != count_mentions(prompt, FAST_WORDS):
        range_fraction = (
            0.15 if count_mentions(prompt, SLOW_WORDS) > count_mentions(prompt, FAST_WORDS) else 0.85
        )
    else:
        range_fraction = MOODS[mood].range_fraction if mood in MOODS else 0.5
    low, usual, high = genre.bpm
    wanted = (
        low + (usual - low) * range_fraction * 2
        if range_fraction < 0.5
        else usual + (high - usual) * (range_fraction - 0.5) * 2
    )
    return _fitted(wanted, seconds, genre)


def _parse_tempo(text: str) -> float | tuple[float]:
    """Beats per minute, or the fraction of a genre's tempo range that a tempo word stands for."""
    tempo = " ".join(text.lower().split())
    number = re.fullmatch(r"(\d+(?:\.\d+)?) ?(?:bpm)?", tempo)
    if number is None:
        check_choice("tempo", tempo, tuple(TEMPOS))
        return (TEMPOS[tempo],)
    bpm = float(number[1])
    if not SLOWEST <= bpm <= FASTEST:
        raise OutOfRange("tempo", bpm, SLOWEST, FASTEST)
    return bpm


def _fitted(wanted: float, seconds: float, genre: Genre) -> float:
    """A tempo near `wanted` at which a bar, or half a bar, starts about 1.6 s before the end."""
    low, _, high = genre.bpm
    body = seconds - min(1.6, 0.25 * seconds)
    unit = (genre.meter if genre.meter % 2 else genre.meter / 2) * 60.0
    units = max(1, round(body * wanted / unit))
    fitted = units * unit / body
    if low <= fitted <= high and abs(fitted / wanted - 1) <= 0.07:
        return round(fitted, 1)
    return round(wanted, 1)


def _instruments(wish: MusicWish) -> tuple[str, ...]:
    found = []
    for name in wish.instruments:
        one = find_instrument(name)
        if one is None:
            likely = closest_match(name, instrument_names())
            raise UnknownChoice("instrument", name, likely and find_instrument(likely), tuple(INSTRUMENTS))
        found.append(one)
    return tuple(dict.fromkeys(found))


def _music_prompt(genre: Genre, mood: str, bpm: float, instruments: tuple[str, ...]) -> str:
    parts = [genre.prompt, f"{mood} mood" if mood else "", ", ".join(instruments), f"{bpm:.0f} bpm"]
    return ", ".join(filter(None, parts))
