"""The prompt corpus is well-formed, so that the rates measured with it mean something."""

from __future__ import annotations

import unicodedata
from collections import Counter
from itertools import chain

import pytest

from tests.bot.moderation.corpus.cases import (
    FOLDER,
    GRADED,
    HALVES,
    KINDS,
    SEVERITIES,
    Case,
    Half,
    halves_present,
    load,
    with_counts,
)

REFUSED_KINDS = {"plain", "disguised", "synonym"}


def _same(text: str) -> str:
    """A text without what does not make it another phrase: case, width, punctuation and spaces."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(character for character in folded if character.isalnum())


@pytest.fixture(params=halves_present())
def half(request: pytest.FixtureRequest) -> Half:
    name: Half = request.param
    return name


@pytest.fixture
def cases(half: Half) -> tuple[Case, ...]:
    return load(half)


def test_the_tuning_half_is_present() -> None:
    assert halves_present()[0] == HALVES[0]


def test_there_are_at_least_400_cases() -> None:
    assert sum(len(load(half)) for half in halves_present()) >= 400


def test_every_half_has_enough_cases_of_each_kind(cases: tuple[Case, ...]) -> None:
    counts = Counter(case.kind for case in cases)
    assert len(cases) >= 330
    assert counts["disguised"] >= 90
    assert counts["synonym"] >= 70
    assert counts["plain"] >= 70
    assert counts["lookalike"] + counts["harmless"] >= 100


def test_every_half_has_at_least_12_languages_with_each_kind(cases: tuple[Case, ...]) -> None:
    by_language: dict[str, list[Case]] = {}
    for case in cases:
        by_language.setdefault(case.language, []).append(case)
    assert len(by_language) >= 12
    for language, own in by_language.items():
        assert len(own) >= 15, language
        assert {case.kind for case in own} == set(KINDS), language


def test_no_phrase_occurs_twice_in_all_halves() -> None:
    texts = Counter(_same(case.text) for case in chain.from_iterable(map(load, halves_present())))
    assert [text for text, count in texts.items() if count > 1] == []


def test_no_text_is_empty_or_padded(cases: tuple[Case, ...]) -> None:
    for case in cases:
        assert case.text
        assert case.text == case.text.strip()
        assert len(case.text) <= 200


def test_each_case_has_the_marks_of_its_kind(cases: tuple[Case, ...]) -> None:
    for case in cases:
        refused = case.kind in REFUSED_KINDS
        assert case.must_pass is not refused, case
        assert (case.severity is not None) is (refused and case.category in GRADED), case
        assert (case.level == "exploitation") is (refused and case.category == "minors"), case
        assert case.category != "none" or not refused, case
        assert case.category == "adult" or not case.adult_ok, case


def test_a_case_is_refused_from_its_severity_on() -> None:
    graphic = Case("a text", "en", "plain", "violence", level="refuse", severity="graphic")
    assert [graphic.refused_at(strictness) for strictness in SEVERITIES] == [False, True, True]
    adult = Case("a text", "en", "plain", "adult", level="refuse", adult_ok=True)
    assert adult.refused_at("severe")
    assert not adult.refused_at("mild", adult_place=True)
    assert not Case("a text", "en", "harmless", "none").refused_at("mild")


def test_the_counts_in_the_readme_are_current() -> None:
    document = (FOLDER / "README.md").read_text("utf-8")
    assert with_counts(document) == document, (
        "run `python -m tests.bot.moderation.corpus.cases tests/bot/moderation/corpus/README.md`"
    )
