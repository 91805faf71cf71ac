"""Choosing music: the user names a genre, mood, tempo or instruments; the rest follows from the prompt."""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any

import pytest

from generation.errors import OutOfRange, UnknownChoice
from generation.music.common.music_choice import Genre, GenreBroken, choose_music, read_genres, tempo_word
from generation.music.common.music_vocabulary import INSTRUMENTS, MOODS, PARTS
from generation.request import Music, MusicWish


def chosen(genres: dict[str, Genre], wish: MusicWish, prompt: str = "a bowl", seconds: float = 5.0) -> Music:
    return choose_music(wish, prompt, seconds=seconds, genres=genres, maker="band", seed=7)[0]


def test_at_least_fourteen_genres_are_shipped(genres: dict[str, Genre]) -> None:
    assert len(genres) >= 14
    for genre in genres.values():
        assert genre.title
        assert genre.emoji
        assert len(genre.prompt.split()) >= 6
        assert set(genre.moods) <= set(MOODS)


@pytest.mark.parametrize(
    ("prompt", "genre", "tempo"),
    [
        ("rainy neon street", "synthwave", "slow"),
        ("a dragon circles a burning castle", "cinematic", None),
        ("pixel art platformer knight jumping", "chiptune", None),
        ("an astronaut floating in space above a nebula", "ambient", "slow"),
        ("two skaters racing fast past graffiti in an alley", "hip-hop", "fast"),
    ],
)
def test_music_is_inferred_from_the_prompt(
    genres: dict[str, Genre], prompt: str, genre: str, tempo: str | None
) -> None:
    music, inferred = choose_music(MusicWish(), prompt, seconds=5, genres=genres, maker="band", seed=1)
    assert music.genre == genre
    assert tempo in {None, tempo_word(music.bpm, genres[genre])}
    assert inferred == ("genre", "mood", "tempo")


def test_stated_choices_are_kept_and_not_reported_as_inferred(genres: dict[str, Genre]) -> None:
    wish = MusicWish(genre="Lo-Fi", mood="Sad", tempo="71 bpm", instruments=("rhodes", "sax", "sax"), seed=5)
    music, inferred = choose_music(wish, "neon", seconds=5, genres=genres, maker="band", seed=1)
    assert (music.genre, music.mood, music.bpm, music.seed) == ("lofi", "sad", 71.0, 5)
    assert music.instruments == ("electric piano", "saxophone")
    assert inferred == ()
    for phrase in ("lo-fi", "sad mood", "71 bpm", "electric piano", "saxophone"):
        assert phrase in music.words


@pytest.mark.parametrize("word", ["slow", "fast"])
def test_tempo_words_are_relative_to_the_genre(genres: dict[str, Genre], word: str) -> None:
    for name, genre in genres.items():
        music = chosen(genres, MusicWish(genre=name, tempo=word))
        assert genre.bpm[0] <= music.bpm <= genre.bpm[2]
        assert tempo_word(music.bpm, genre) == word or genre.bpm[2] / genre.bpm[0] < 1.2


def test_no_music_native_audio_and_an_own_track(genres: dict[str, Genre]) -> None:
    assert chosen(genres, MusicWish(genre="none")).genre == "none"
    assert chosen(genres, MusicWish(genre="native")).genre == "native"
    own = chosen(genres, MusicWish(track="/somewhere/song.mp3"))
    assert (own.genre, own.maker, own.track) == ("own", "track", "/somewhere/song.mp3")


@pytest.mark.parametrize(
    ("wish", "option", "near"),
    [
        (MusicWish(genre="jaz"), "genre", "jazz"),
        (MusicWish(genre="own"), "genre", None),
        (MusicWish(mood="hapy"), "mood", "happy"),
        (MusicWish(tempo="fats"), "tempo", "fast"),
        (MusicWish(tempo="-3"), "tempo", None),
        (MusicWish(instruments=("saxofone",)), "instrument", "saxophone"),
        (MusicWish(instruments=("ukelele",)), "instrument", "guitar"),
    ],
)
def test_an_unknown_word_gets_a_did_you_mean(
    genres: dict[str, Genre], wish: MusicWish, option: str, near: str | None
) -> None:
    with pytest.raises(UnknownChoice) as caught:
        chosen(genres, wish)
    assert (caught.value.option, caught.value.near) == (option, near)


@pytest.mark.parametrize("bpm", ["12", "999"])
def test_a_tempo_out_of_range_is_refused_with_the_range(genres: dict[str, Genre], bpm: str) -> None:
    with pytest.raises(OutOfRange) as caught:
        chosen(genres, MusicWish(tempo=bpm))
    assert (caught.value.low, caught.value.high) == (40, 220)


def test_only_makers_on_offer_can_be_named(genres: dict[str, Genre]) -> None:
    with pytest.raises(UnknownChoice) as caught:
        choose_music(
            MusicWish(maker="musicgan"),
            "x",
            seconds=5,
            genres=genres,
            maker="band",
            seed=1,
            makers=("band", "musicgen"),
        )
    assert caught.value.near == "musicgen"


def _broken(tables: dict[str, Any], change: dict[str, Any]) -> GenreBroken:
    data = copy.deepcopy(tables)
    data["lofi"] |= change
    with pytest.raises(GenreBroken) as caught:
        read_genres(data)
    return caught.value


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"tempo": 3}, "lofi.tempo"),
        ({"bpm": [90, 80, 70]}, "lofi.bpm"),
        ({"bpm": "fast"}, "lofi.bpm"),
        ({"swing": 3.0}, "lofi.swing"),
        ({"meter": 5}, "lofi.meter"),
        ({"title": 7}, "lofi.title"),
        ({"bass_line": "1---"}, "lofi.bass_line"),
        ({"drums": {"kick": "x..............?"}}, "lofi.drums.kick"),
        ({"progressions": {"minor": []}}, "lofi.progressions"),
        ({"keys": []}, "lofi"),
    ],
)
def test_a_wrong_entry_is_named(genre_tables: dict[str, Any], change: dict[str, Any], place: str) -> None:
    assert _broken(genre_tables, change).place == place


def test_a_missing_and_a_misspelt_entry_are_named(genre_tables: dict[str, Any]) -> None:
    data = copy.deepcopy(genre_tables)
    del data["lofi"]["bass"]
    with pytest.raises(GenreBroken, match="'bass'"):
        read_genres(data)
    assert _broken(genre_tables, {"bas_line": "x"}).near == "bass_line"
    with pytest.raises(GenreBroken, match="no music"):
        read_genres({"none": {}})


def test_every_instrument_plays_a_part_of_the_band() -> None:
    for one in INSTRUMENTS.values():
        assert one.parts
        assert set(one.parts) <= set(PARTS)


def test_choosing_music_costs_no_heavy_import() -> None:
    module = "generation.music.common.music_choice"
    code = f"import sys, {module}; print(sorted({{'numpy', 'torch'}} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603  (this interpreter)
    assert result.stdout.strip() == "[]"
