"""Find which word lists a text matches. The lists are indexed: the work grows only with the text."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.moderation.romanization import romanizations
from bot.moderation.term_index import (
    Match,
    TermIndex,
    exclude_overlapping,
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
SPECIAL_TABLES = {"alike", "emoji", "harmless", "years"}
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
MIN_JOINED = 5
MAX_FRAGMENT = 3
MIN_MISSPELLED = 6
MIN_MASKED = 4


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
        self._spelling = SpellingCorrector(self._index)
        self._emoji = tables.get("emoji", {})
        self._lookalikes = {
            ord(c): letter for letter, others in tables.get("alike", {}).items() for c in others
        }
        self._age_detector = AgeDetector(tables["years"]) if "years" in tables else None
        self._split_pairs = SplitPairs(tables)
        self._clothing = {normalize_text(word) for word in _flatten(tables.get("clothing", {}))}

    def simplest_reading(self, text: str) -> str:
        """The text with all disguises undone that can be undone with little doubt."""
        return simplest_reading(text, emoji=self._emoji, lookalikes=self._lookalikes)

    def search(self, text: str) -> list[Finding]:
        """What each likely reading of the text matches; readings without a match are left out."""
        readings = readings_of(text, emoji=self._emoji, lookalikes=self._lookalikes)
        corrected = self._spelling.corrected(self.simplest_reading(text))
        if corrected is not None:
            readings.append(Reading(corrected, is_guess=True))
        found = [Finding(reading, tuple(self._matches(reading))) for reading in readings]
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

    def _matches(self, reading: Reading) -> list[Match]:
        view = reading.text
        tokens = tokens_of(view)
        matches = self._index.search(view, tokens)
        if view.isascii():
            matches += self._romanized.search(view, tokens)
        if self._age_detector is not None:
            matches += [Match("young", start, end) for start, end in self._age_detector.spans(view)]
        if not reading.is_guess and self._split_pairs.matches(view):
            matches += [Match("young", 0, len(view)), Match("sexual", 0, len(view))]
        return exclude_overlapping(matches, self._harmless.search(view, tokens)) if matches else []

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


class SpellingCorrector:
    """Corrects words that are one typing error away from a term, and joins terms that a space cuts in two.

    The result is a guess: some harmless words are as close to a term.
    """

    def __init__(self, index: TermIndex) -> None:
        self._index = index
        self._words = {word for word in index.single_words() if word.isalpha() and not without_spaces(word)}
        self._by_shortened: dict[str, str] = {}
        for word in sorted(self._words):
            if len(word) >= MIN_MISSPELLED:
                for shortened in _without_one_letter(word):
                    self._by_shortened.setdefault(shortened, word)
        self._by_pattern: dict[tuple[str, int], list[str]] = defaultdict(list)
        for word in sorted(self._words):
            self._by_pattern[word[0], len(word)].append(word)

    def corrected(self, view: str) -> str | None:
        """The text with corrected words, or None if there is nothing to correct."""
        words = view.split(" ")
        result: list[str] = []
        at = 0
        while at < len(words):
            count, word = self._joined(words, at) or (1, self._correct(words[at]))
            result.append(word)
            at += count
        return " ".join(result) if result != words else None

    def _joined(self, words: Sequence[str], at: int) -> tuple[int, str] | None:
        for count in (3, 2):
            pieces = words[at : at + count]
            whole = "".join(pieces)
            if (
                len(pieces) == count
                and whole.isalpha()
                and len(whole) >= MIN_JOINED
                and min(map(len, pieces)) <= MAX_FRAGMENT
                and whole in self._words
                and not any(self._index.lists_of_word(piece) for piece in pieces)
            ):
                return count, whole
        return None

    def _correct(self, word: str) -> str:
        if "*" in word or "#" in word:
            return self._unmasked(word)
        if len(word) < MIN_MISSPELLED or not word.isalpha() or self._index.lists_of_word(word):
            return word
        for candidate in (word, *_without_one_letter(word)):
            found = self._by_shortened.get(candidate)
            if found is not None and found[0] == word[0]:
                return found
            if candidate in self._words and len(candidate) >= MIN_MISSPELLED:
                return candidate
        return word

    def _unmasked(self, word: str) -> str:
        """The term that fits a word with letters hidden behind stars."""
        core = word.strip("*#")
        if len(core) < MIN_MASKED or LETTERS_WITH_MASK.fullmatch(core) is None:
            return word
        pattern = re.compile(core.replace("*", r"\w").replace("#", r"\w"))
        candidates = self._by_pattern.get((core[0], len(core)), ())
        return next((term for term in candidates if pattern.fullmatch(term)), word)


LETTERS_WITH_MASK = re.compile(r"[^\W\d_][^\W_*#]*(?:[*#]+[^\W_]+)+")


def _without_one_letter(word: str) -> Iterator[str]:
    for at in range(1, len(word)):
        yield word[:at] + word[at + 1 :]


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
