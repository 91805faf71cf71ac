"""The built-in band plays in time, in tune, at the right loudness, and ends with the clip."""

from __future__ import annotations

import functools
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from generation.clip import Audio
from generation.errors import MusicFailed
from generation.music.band import Band, arrange
from generation.music.common.music_choice import Genre, choose_music, read_genres
from generation.music.common.music_vocabulary import INSTRUMENTS
from generation.music.common.registry import load, makers
from generation.progress import Cancelled
from generation.request import Music, MusicWish
from tests.generation.music.audio_measures import (
    best_scale,
    chroma,
    fifths_apart,
    loudness,
    lowest_pitch,
    mono,
    onsets,
    true_peak,
)
from tests.generation.music.conftest import shipped_genres

pytestmark = pytest.mark.slow

GENRES = tuple(shipped_genres())
CHROMATIC_GENRES = {"blues", "funk", "jazz", "bossa", "metal"}
"""Genres whose chords use notes outside the key on purpose."""
SOFT_ONSET_GENRES = {"classical", "ambient", "cinematic"}
"""Genres whose bowed and swelling sounds have no sharp onset to measure."""


@pytest.fixture(scope="module")
def band(genre_tables: dict[str, Any]) -> Band:
    return Band.load({"genres": genre_tables})


def music(genres: dict[str, Genre], name: str, seconds: float, seed: int = 3, **wish: Any) -> Music:
    music_wish = MusicWish(genre=name, **wish)
    return choose_music(music_wish, "a bowl", seconds=seconds, genres=genres, maker="band", seed=seed)[0]


def ignore_progress(_done: int, _total: int) -> None:
    pass


@functools.cache
def composed(name: str, seconds: float, rate: int) -> Audio:
    genres = read_genres(shipped_genres())
    return Band(genres).compose(music(genres, name, seconds), round(seconds * rate), rate, ignore_progress)


def test_the_band_is_found_without_being_imported() -> None:
    assert "band" in makers()
    assert "genres" not in makers()


@pytest.mark.parametrize("name", GENRES)
def test_every_genre_is_in_time_in_key_and_ends_on_its_tonic(genres: dict[str, Genre], name: str) -> None:
    audio = composed(name, 12.0, 24_000)
    arrangement = arrange(music(genres, name, 12.0), genres[name], 12.0)
    apart = fifths_apart(arrangement.key, best_scale(chroma(audio), arrangement.key.mode))
    assert apart <= (1 if name in CHROMATIC_GENRES else 0)
    tail = mono(audio)[
        round((arrangement.end + 0.1) * audio.rate) : round((arrangement.end + 0.9) * audio.rate)
    ]
    assert abs((lowest_pitch(tail, audio.rate) - arrangement.key.tonic + 6) % 12 - 6) < 0.2
    if name not in SOFT_ONSET_GENRES:
        steps = [
            arrangement.grid.seconds_at_step(bar, step)
            for bar in range(len(arrangement.bars) + 1)
            for step in range(16)
        ]
        late = [min(abs(onset - step) for step in steps) for onset in onsets(audio)]
        assert len(late) >= 12
        assert np.median(late) < 0.010
        assert np.quantile(late, 0.85) < 0.020


@pytest.mark.parametrize("name", GENRES)
def test_every_genre_is_as_loud_as_the_rest_and_never_clips(name: str) -> None:
    audio = composed(name, 5.0, 48_000)
    assert loudness(audio) == pytest.approx(-14, abs=1)
    assert true_peak(audio) <= -1
    assert np.abs(audio.samples[-48:]).max() < 1e-3
    assert np.abs(audio.samples[0]).max() < 1e-3


@pytest.mark.parametrize("seconds", [0.5, 1.0, 2.04, 7.3, 30.0])
@pytest.mark.parametrize("name", ["lofi", "classical", "metal"])
def test_any_length_ends_on_the_last_sample(
    genres: dict[str, Genre], band: Band, name: str, seconds: float
) -> None:
    samples = round(seconds * 16_000)
    audio = band.compose(music(genres, name, seconds), samples, 16_000, ignore_progress)
    assert audio.samples.shape == (samples, 2)
    assert audio.samples.dtype == np.float32
    assert np.isfinite(audio.samples).all()
    assert np.abs(audio.samples).max() > 0.05
    assert np.abs(audio.samples[-16:]).max() < 2e-3


@pytest.mark.parametrize("name", GENRES)
def test_the_last_chord_falls_on_a_beat_and_has_time_to_ring(genres: dict[str, Genre], name: str) -> None:
    for seconds in (2.0, 3.3, 5.0, 8.0, 21.0, 60.0):
        arrangement = arrange(music(genres, name, seconds), genres[name], seconds)
        assert arrangement.final_chord.start == int(arrangement.final_chord.start)
        assert seconds - arrangement.end >= min(1.0, 0.15 * seconds)
        assert arrangement.final_chord.chord.root == arrangement.key.tonic
        assert all(note.start < seconds for notes in arrangement.notes.values() for note in notes)


def test_the_same_seed_plays_the_same_and_another_does_not(genres: dict[str, Genre], band: Band) -> None:
    first, again, other = (
        band.compose(music(genres, "pop", 4.0, seed), 64_000, 16_000, ignore_progress).samples
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_genres_sound_different() -> None:
    def colour(name: str) -> np.ndarray[Any, Any]:
        spectrum = np.abs(np.fft.rfft(mono(composed(name, 12.0, 24_000))[:262_144]))
        bands = np.geomspace(40, 90_000, 25).astype(int)
        levels = np.log10([spectrum[a:b].mean() + 1e-9 for a, b in pairwise(bands)])
        centred: np.ndarray[Any, Any] = levels - levels.mean()
        return centred

    colours = {name: colour(name) for name in GENRES}
    closest = min(
        float(np.abs(colours[a] - colours[b]).mean()) for i, a in enumerate(GENRES) for b in GENRES[i + 1 :]
    )
    assert closest > 0.05


def test_named_instruments_take_melody_and_harmony(genres: dict[str, Genre]) -> None:
    arrangement = arrange(music(genres, "lofi", 8, instruments=("piano", "flute")), genres["lofi"], 8)
    assert arrangement.voices == {"drums": "lofi", "bass": "round", "comp": "piano", "lead": "flute"}
    only_lead = arrange(music(genres, "lofi", 8, instruments=("flute",)), genres["lofi"], 8)
    assert (only_lead.voices["comp"], only_lead.voices["lead"]) == ("epiano", "flute")
    with_drums = arrange(music(genres, "classical", 8, instruments=("drums",)), genres["classical"], 8)
    assert with_drums.hits


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_every_instrument_changes_the_audio(genres: dict[str, Genre], band: Band, name: str) -> None:
    audio = band.compose(music(genres, "ambient", 2.0, instruments=(name,)), 32_000, 16_000, ignore_progress)
    without = band.compose(music(genres, "ambient", 2.0), 32_000, 16_000, ignore_progress)
    assert np.isfinite(audio.samples).all()
    assert not np.allclose(audio.samples, without.samples)


def test_a_mood_sets_the_mode_and_swing_is_kept(genres: dict[str, Genre]) -> None:
    modes = {
        mood: arrange(music(genres, "pop", 5, mood=mood), genres["pop"], 5).key.mode
        for mood in ("happy", "sad")
    }
    assert modes == {"happy": "major", "sad": "minor"}
    grid = arrange(music(genres, "jazz", 5), genres["jazz"], 5).grid
    first, second = grid.seconds_at(0.5) - grid.seconds_at(0), grid.seconds_at(1) - grid.seconds_at(0.5)
    assert first / second > 1.5


def test_cancelling_stops_the_band_and_every_step_is_reported(genres: dict[str, Genre], band: Band) -> None:
    def stop(done: int, _total: int) -> None:
        if done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        band.compose(music(genres, "rock", 3), 48_000, 16_000, stop)
    steps: list[tuple[int, int]] = []
    band.compose(music(genres, "rock", 3), 48_000, 16_000, lambda done, total: steps.append((done, total)))
    assert steps == [(done, steps[-1][1]) for done in range(steps[-1][1] + 1)]


def test_an_unknown_or_broken_genre_is_named_in_the_error(band: Band) -> None:
    with pytest.raises(MusicFailed, match="polka"):
        band.compose(Music(genre="polka", maker="band"), 100, 16_000, ignore_progress)
    with pytest.raises(MusicFailed, match="lofi"):
        load("band", {"genres": {"lofi": {"tempo": 3}}})
