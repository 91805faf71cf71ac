"""A model with a small vocabulary: the user is told which words of the prompt it does not know."""

from __future__ import annotations

import json
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.models.common.preset import read_presets
from generation.models.common.vocabulary import find_unknown_words
from tests.factories import make_preset
from tests.paths import ROOT

POCKET = read_presets(tomllib.loads((ROOT / "config" / "models.toml").read_text("utf-8")))["pocket"]
ENTRIES = json.loads((ROOT / "generation" / "pocket" / "vocabulary.json").read_text("utf-8"))
PHRASES = sorted(p for kinds in ENTRIES["kinds"].values() for phrases in kinds.values() for p in phrases)


def unknown_words(prompt: str) -> tuple[str, ...]:
    unknown = find_unknown_words(POCKET, prompt)
    return unknown.words if unknown else ()


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
    ("prompt", "unknown"),
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
def test_unknown_words_are_named_as_typed(prompt: str, unknown: tuple[str, ...]) -> None:
    assert unknown_words(prompt) == unknown


def test_a_substitute_is_reported_by_name() -> None:
    unknown = find_unknown_words(POCKET, "a fox in the snow")
    assert unknown is not None
    assert (unknown.substitutes, unknown.words, unknown.nothing_known) == ((("fox", "cat"),), (), False)


def test_no_substitute_is_used_where_a_known_subject_is_named() -> None:
    unknown = find_unknown_words(POCKET, "a cat and a dog in the desert")
    assert unknown is not None
    assert (unknown.substitutes, unknown.words) == ((), ("dog",))


@pytest.mark.parametrize("prompt", ["qwertz", "夜の雪に赤いロケット", "un zorro"])
def test_a_prompt_without_a_known_word_is_reported(prompt: str) -> None:
    unknown = find_unknown_words(POCKET, prompt)
    assert unknown is not None
    assert unknown.nothing_known
    assert {"red", "rocket", "snow", "night", "rise"} <= set(unknown.known)


def test_a_model_without_a_vocabulary_reports_nothing() -> None:
    plain = make_preset("plain", family="ltx", limits=POCKET.limits, source=POCKET.source)
    assert find_unknown_words(plain, "a zeppelin") is None


@given(st.lists(st.sampled_from(PHRASES), min_size=1, max_size=6))
def test_known_phrases_are_never_reported(phrases: list[str]) -> None:
    assert unknown_words(", ".join(phrases)) == ()


@given(st.text(max_size=80))
def test_reported_words_come_from_the_prompt(prompt: str) -> None:
    assert all(word in prompt for word in unknown_words(prompt))
