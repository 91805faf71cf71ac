"""A model with a small vocabulary: a person is told which of their words it does not know."""

from __future__ import annotations

import json
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.models.common.preset import Preset, read_presets
from generation.models.common.vocabulary import find_unknown_words
from tests.paths import ROOT

POCKET = read_presets(tomllib.loads((ROOT / "config" / "models.toml").read_text("utf-8")))["pocket"]
ENTRIES = json.loads((ROOT / "generation" / "pocket" / "vocabulary.json").read_text("utf-8"))
PHRASES = sorted(p for kinds in ENTRIES["kinds"].values() for phrases in kinds.values() for p in phrases)


def unknown_words(prompt: str) -> tuple[str, ...]:
    missed = find_unknown_words(POCKET, prompt)
    return missed.words if missed else ()


@pytest.mark.parametrize(
    "prompt",
    [
        "a red rocket rising over the snow at night",
        "A RED Rocket, rising: over the SNOW... at night!",
        "red cats, jumping",
        "please make me a video of a yellow star that falls over the sea",
        "",
    ],
)
def test_a_prompt_of_known_words_is_not_reported(prompt: str) -> None:
    assert find_unknown_words(POCKET, prompt) is None


@pytest.mark.parametrize(
    ("prompt", "missed"),
    [
        ("a glass rocket", ("glass",)),
        ("a red Zeppelin, ZEPPELIN over the sea", ("Zeppelin",)),
        ("a big ball; naïvely", ("big", "naïvely")),
        ("ein roter Ball über dem Meer", ("ein", "roter", "über", "dem", "Meer")),
        ("🚀 over the sea", ("🚀",)),
        ("ball 夜の雪", ("夜の雪",)),
        ("two balls", ("two",)),
    ],
)
def test_unknown_words_are_named_as_typed(prompt: str, missed: tuple[str, ...]) -> None:
    assert unknown_words(prompt) == missed


def test_a_stand_in_is_reported_by_name() -> None:
    missed = find_unknown_words(POCKET, "a fox in the snow")
    assert missed is not None
    assert (missed.substitutes, missed.words, missed.nothing_known) == ((("fox", "cat"),), (), False)


def test_no_stand_in_is_used_where_a_known_subject_is_named() -> None:
    missed = find_unknown_words(POCKET, "a cat and a dog in the desert")
    assert missed is not None
    assert (missed.substitutes, missed.words) == ((), ("dog",))


@pytest.mark.parametrize("prompt", ["qwertz", "夜の雪に赤いロケット", "un zorro"])
def test_a_prompt_without_a_known_word_is_reported(prompt: str) -> None:
    missed = find_unknown_words(POCKET, prompt)
    assert missed is not None
    assert missed.nothing_known
    assert {"red", "rocket", "snow", "night", "rise"} <= set(missed.known)


def test_a_model_without_a_vocabulary_reports_nothing() -> None:
    plain = Preset(name="plain", family="ltx", title="", limits=POCKET.limits, source=POCKET.source)
    assert find_unknown_words(plain, "a zeppelin") is None


@given(st.lists(st.sampled_from(PHRASES), min_size=1, max_size=6))
def test_no_phrase_that_it_knows_is_ever_called_unknown(said: list[str]) -> None:
    assert unknown_words(", ".join(said)) == ()


@given(st.text(max_size=80))
def test_reported_words_come_from_the_prompt(prompt: str) -> None:
    assert all(word in prompt for word in unknown_words(prompt))
