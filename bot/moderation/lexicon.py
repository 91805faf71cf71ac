"""Find which word lists a text matches. The lists are indexed: the work grows only with the text."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.moderation.romanization import romanizations
from bot.moderation.spelling import SpellingCorrector
from bot.moderation.term_index import (
    Match,
    TermIndex,
    split_entries,
    tokens_of,
)
from bot.moderation.text_normalization import (
    WORD,
    Reading,
    letters_with_boundaries,
    normalize_text,
    readings_of,
    simplest_reading,
    spelled_out_words,
    without_spaces,
)

ADULT_AGE = 18
SPECIAL_TABLES = {"alike", "common_words", "emoji", "harmless", "years"}
PROMPT_WEIGHT = re.compile(r":\s*[\d.]+\s*\)?$")
UNIT_WORDS = (
    "m|cm|mm|km|kg|ft|fps|foot|feet|inch|inches|meters?|metres?|miles?|minutes?|min|seconds?|sec|s|hours?"
)
SHORT_AGE = re.compile(r"(?<!\w)1[0-7]\s?f(?!\w)|(?<![\w/])f\s?1[0-57](?!\w)")
MAX_RUN_LENGTH = 24
MAX_SUFFIX = 3
"""Letters that may follow a stem where two words are joined."""
LISTS_IN_RUNS = frozenset({"young", "girls", "sexual", "suggestive", "exploitation"})
"""Lists whose terms are also found in words that are spelled letter by letter without gaps between them."""
MIN_ROMANIZED = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One reading of a text, and the terms in it."""

    reading: Reading
    matches: tuple[Match, ...]

    @property
    def lists(self) -> frozenset[str]:
        return frozenset(match.list for match in self.matches)

    def are_close(self, first: Iterable[str], second: Iterable[str], distance: int) -> bool:
        """Whether terms of one of the first and of one of the second lists are within so many letters."""
        firsts = [match for match in self.matches if match.list in first]
        seconds = [match for match in self.matches if match.list in second]
        return any(
            max(one.start, other.start) - min(one.end, other.end) <= distance
            for one in firsts
            for other in seconds
        )


class Lexicon:
    def __init__(self, tables: Mapping[str, Mapping[str, Any]], operator_words: Iterable[str] = ()) -> None:
        lists = {name: _flatten(table) for name, table in tables.items() if name not in SPECIAL_TABLES}
        lists["operator"] = list(operator_words)
        self._index, self._harmless, self._romanized = TermIndex(), TermIndex(), TermIndex()
        for name, terms in lists.items():
            for term in terms:
                self._index.add(name, term)
                for spelling in _romanized_term(term):
                    self._romanized.add(name, spelling)
        for term in _flatten(tables.get("harmless", {})):
            self._harmless.add("harmless", term)
        self._run_index = _build_run_index({name: lists[name] for name in LISTS_IN_RUNS & lists.keys()})
        self._operator_runs = _build_run_index({"operator": lists["operator"]})
        common = tables.get("common_words", {}).get("words", ())
        self._spelling = SpellingCorrector(self._index.words(), common, self._is_listed)
        self._emoji = tables.get("emoji", {})
        self._lookalikes = {
            ord(c): letter for letter, others in tables.get("alike", {}).items() for c in others
        }
        self._age_detector = AgeDetector(tables["years"]) if "years" in tables else None
        self._split_pairs = SplitPairs(tables)
        self._clothing = {normalize_text(word) for word in _flatten(tables.get("clothing", {}))}

    def _is_listed(self, word: str) -> bool:
        return bool(self._index.lists_of_word(word) or self._harmless.lists_of_word(word))

    def simplest_reading(self, text: str) -> str:
        """The text with all disguises undone that can be undone with little doubt."""
        return simplest_reading(text, emoji=self._emoji, lookalikes=self._lookalikes)

    def search(self, text: str) -> list[Finding]:
        """What each likely reading of the text matches; readings without a match are left out."""
        readings = readings_of(text, emoji=self._emoji, lookalikes=self._lookalikes)
        simplest = self.simplest_reading(text)
        guesses = {self._spelling.corrected(simplest), self._spelling.unreversed(simplest)}
        if "*" in text or "#" in text:  # the simplest reading has lost the letters that these hide
            guesses.add(self._spelling.corrected(normalize_text(text)))
        guesses -= {None, simplest}
        readings += [Reading(guess, is_guess=True) for guess in sorted(filter(None, guesses))]
        found: list[Finding] = []
        harmless_terms: set[str] = set()
        for reading in readings:  # guesses come last
            matches, excluded = self._matches(reading)
            if reading.is_guess:
                matches = [match for match in matches if match.of(reading.text) not in harmless_terms]
            harmless_terms |= {match.of(reading.text) for match in excluded}
            found.append(Finding(reading, tuple(matches)))
        runs = {
            run for reading in readings if not reading.is_guess for run in spelled_out_words(reading.text)
        }
        found += [Finding(Reading(run), tuple(self._matches_in_run(run))) for run in runs]
        return [finding for finding in found if finding.matches]

    def matched_lists(self, text: str) -> frozenset[str]:
        """The lists that the text matches without guessing."""
        return frozenset().union(*(one.lists for one in self.search(text) if not one.reading.is_guess))

    def excludes_clothing(self, negative: str) -> bool:
        """Whether a negative prompt names clothing as something that should not be there."""
        entries = (normalize_text(PROMPT_WEIGHT.sub("", normalize_text(e))) for e in split_entries(negative))
        return any(entry.strip("()[]{} ") in self._clothing for entry in entries)

    def _matches(self, reading: Reading) -> tuple[list[Match], list[Match]]:
        """The matches, and those that belong to a harmless phrase."""
        view = reading.text
        tokens = tokens_of(view)
        matches = self._index.search(view, tokens)
        if view.isascii() and not reading.is_guess:
            matches += self._romanized.search(view, tokens)
        if self._age_detector is not None:
            matches += [Match("young", start, end) for start, end in self._age_detector.spans(view)]
        if not reading.is_guess and self._split_pairs.matches(view):
            matches += [Match("young", 0, len(view)), Match("sexual", 0, len(view))]
        if not matches:
            return [], []
        harmless = self._harmless.search(view, tokens)
        excluded = [match for match in matches if any(match.overlaps(phrase) for phrase in harmless)]
        return [match for match in matches if match not in excluded], excluded

    def _matches_in_run(self, run: str) -> Iterator[Match]:
        pieces = {
            run[at : at + length]
            for at in range(len(run))
            for length in range(2, min(MAX_RUN_LENGTH, len(run) - at) + 1)
        }
        for piece in pieces:
            for name in (*self._run_index.get(piece, ()), *self._operator_runs.get(piece, ())):
                yield Match(name, 0, len(run))


def _romanized_term(term: str) -> Iterator[str]:
    star = "*" if term.endswith("*") else ""
    for spelling in romanizations(normalize_text(term.removesuffix("*"))):
        if len(spelling) >= MIN_ROMANIZED:
            yield spelling + star


def _build_run_index(lists: Mapping[str, Iterable[str]]) -> dict[str, set[str]]:
    """Terms as they appear in letters without spaces. Short ones are left out: they match almost any text."""
    runs: dict[str, set[str]] = defaultdict(set)
    for name, terms in lists.items():
        for term in terms:
            stem = normalize_text(term.removesuffix("*")).replace(" ", "")
            if len(stem) >= (2 if without_spaces(stem) else 4) and stem != "anal":  # "canal"
                runs[stem].add(name)
    return dict(runs)


class SplitPairs:
    """Finds the English word pairs of the strictest rule when spaces are missing or misplaced."""

    def __init__(self, tables: Mapping[str, Mapping[str, Any]]) -> None:
        young = _single_words(tables, "young", "girls")
        sexual = _single_words(tables, "sexual")
        self._orders = ((young, sexual), (sexual, young))

    def matches(self, view: str) -> bool:
        letters, begins, ends = letters_with_boundaries(view)
        return any(
            second_end in ends
            for begin in begins
            for first, second in self._orders
            for first_end in _word_ends(first, letters, begin)
            for second_end in _word_ends(second, letters, first_end)
        )


def _single_words(tables: Mapping[str, Mapping[str, Any]], *names: str) -> dict[str, bool]:
    """Single words, and whether each may be only the beginning of a word."""
    terms = [term for name in names for term in tables.get(name, {}).get("en", ())]
    stems = {normalize_text(term.removesuffix("*")): term.endswith("*") for term in terms}
    return {stem: is_prefix for stem, is_prefix in stems.items() if stem.isalpha() and len(stem) > 2}


def _word_ends(words: Mapping[str, bool], letters: str, begin: int) -> Iterator[int]:
    for end in range(begin + 3, min(len(letters), begin + MAX_RUN_LENGTH) + 1):
        is_prefix = words.get(letters[begin:end])
        if is_prefix is not None:
            yield from range(end, end + 1 + (MAX_SUFFIX if is_prefix else 0))


class AgeDetector:
    """Finds ages in digits or words, before or after the word that marks a number as an age."""

    def __init__(self, years: Mapping[str, Any]) -> None:
        numbers = {normalize_text(word): str(number) for word, number in years.get("numbers", {}).items()}
        self._numbers_by_word = {word: number for word, number in numbers.items() if not without_spaces(word)}
        self._unspaced_numbers = sorted(
            ((word, number) for word, number in numbers.items() if without_spaces(word)),
            key=lambda pair: -len(pair[0]),
        )
        number = r"(?<!\d)(\d{1,2})(?!\d)"
        after = "|".join(_unit_pattern(word) for word in years["all"])
        before = "|".join(re.escape(normalize_text(word)) for word in years["before"])
        self._number_first = re.compile(rf"{number}[\s\-]*(?:{after})")
        self._number_last = re.compile(
            rf"(?<!\w)(?:{before})[\s:(]*{number}(?![\w%:./])(?!\s*(?:{UNIT_WORDS}|bpm|k|of)\b)"
        )

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where the text names an age below eighteen. Positions shift a little where numbers are words."""
        text = self._with_digits(text)
        if not any(c.isdecimal() for c in text):
            return []
        ages = [*self._number_first.finditer(text), *self._number_last.finditer(text)]
        return [found.span() for found in ages if int(found[1]) < ADULT_AGE] + [
            found.span() for found in SHORT_AGE.finditer(text)
        ]

    def _with_digits(self, text: str) -> str:
        text = WORD.sub(lambda found: self._numbers_by_word.get(found.group(), found.group()), text)
        for word, number in self._unspaced_numbers:
            text = text.replace(word, number)
        return text


def _unit_pattern(word: str) -> str:
    stem = normalize_text(word.removesuffix("*"))
    allows_suffix = without_spaces(stem) or word.endswith("*")
    return r"[\s\-]+".join(map(re.escape, re.split(r"[\s\-]+", stem))) + ("" if allows_suffix else r"(?!\w)")


def _flatten(table: Mapping[str, Sequence[str]]) -> list[str]:
    return [word for words in table.values() for word in words if word]
