"""Find which word lists a text matches. The lists are indexed: the work grows only with the text."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

from bot.moderation.text_normalization import (
    letters_with_boundaries,
    normalize_text,
    spelled_out_words,
    spelling_variants,
    without_spaces,
)

ADULT_AGE = 18
SPECIAL_TABLES = {"alike", "emoji", "harmless", "years"}
COMBINING_MARKS = "\u0610-\u061a\u064b-\u065f\u05b0-\u05c7\u0900-\u0903\u093a-\u094f\u0e31\u0e34-\u0e4e"
WORD = re.compile(rf"[\w{COMBINING_MARKS}]+")
PROMPT_WEIGHT = re.compile(r":\s*[\d.]+\s*\)?$")
JOINED_PREFIXES = {
    "ARABIC": [a + b + c for a, b, c in product(("", "و", "ف"), ("", "ب", "ك", "ل"), ("", "ال"))] + ["لل"],
    "HEBREW": [a + b + c for a, b, c in product(("", "ו", "ש", "כ"), ("", "ב", "ל", "מ"), ("", "ה"))],  # noqa: RUF001  (Hebrew)
}
"""Prefixes of scripts that join "and", "with" and "the" to the following word."""
UNIT_WORDS = (
    "m|cm|mm|km|kg|ft|fps|foot|feet|inch|inches|meters?|metres?|miles?|minutes?|min|seconds?|sec|s|hours?"
)
SHORT_AGE = re.compile(r"(?<!\w)1[0-7]\s?f(?!\w)|(?<![\w/])f\s?1[0-57](?!\w)")
MAX_RUN_LENGTH = 24
MAX_SUFFIX = 3
"""Letters that may follow a stem where two words are joined."""


@dataclass(frozen=True, slots=True)
class Term:
    """Consecutive words; with `is_prefix`, the last may be only the beginning of a word."""

    words: tuple[str, ...]
    is_prefix: bool

    def matches_at(self, words: Sequence[str], at: int) -> bool:
        found = words[at : at + len(self.words)]
        if len(found) < len(self.words) or tuple(found[:-1]) != self.words[:-1]:
            return False
        return found[-1].startswith(self.words[-1]) if self.is_prefix else found[-1] == self.words[-1]


class WordList:
    """One word list. Terms in scripts without spaces match anywhere in a text, others only as whole words."""

    def __init__(self, terms: Iterable[str]) -> None:
        self._by_first_word: dict[str, list[Term]] = defaultdict(list)
        self._prefixes: dict[str, None] = {}
        anywhere = []
        for term in terms:
            stem = normalize_text(term.removesuffix("*"))
            if without_spaces(stem):
                anywhere.append(re.escape(stem))
            else:
                for words in _with_joined_prefixes(WORD.findall(stem)):
                    self._add(words, is_prefix=term.endswith("*"))
        self._prefix_lengths = frozenset(map(len, self._prefixes))
        alternatives = sorted(set(anywhere), key=len, reverse=True)
        self.anywhere_pattern = re.compile("|".join(alternatives)) if alternatives else None

    def _add(self, words: tuple[str, ...], *, is_prefix: bool) -> None:
        if len(words) == 1 and is_prefix:
            self._prefixes[words[0]] = None
        elif words:
            self._by_first_word[words[0]].append(Term(words, is_prefix))

    def match_length(self, words: Sequence[str], at: int) -> int:
        """The number of words in the longest term that begins at this word; 0 if none does."""
        longest = max(
            (len(t.words) for t in self._by_first_word.get(words[at], ()) if t.matches_at(words, at)),
            default=0,
        )
        word = words[at]
        return longest or int(self._has_prefix(word))

    def matches(self, words: Sequence[str]) -> bool:
        if any(self._has_prefix(word) for word in set(words)):
            return True
        return any(
            word in self._by_first_word and self.match_length(words, at) for at, word in enumerate(words)
        )

    def _has_prefix(self, word: str) -> bool:
        return not self._prefix_lengths.isdisjoint(range(1, len(word) + 1)) and any(
            word[:length] in self._prefixes for length in self._prefix_lengths
        )

    def found_anywhere(self, view: str) -> bool:
        return self.anywhere_pattern is not None and self.anywhere_pattern.search(view) is not None


def _with_joined_prefixes(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The words unchanged, and with each prefix that their script joins to the first one."""
    if not words:
        return
    script = unicodedata.name(words[0][0], "").split()[0]
    for prefix in JOINED_PREFIXES.get(script, ("",)):
        yield (prefix + words[0], *words[1:])


class Lexicon:
    def __init__(self, tables: Mapping[str, Mapping[str, Any]], operator_words: Iterable[str] = ()) -> None:
        lists = {name: _flatten(table) for name, table in tables.items() if name not in SPECIAL_TABLES}
        lists["operator"] = list(operator_words)
        self._lists = {name: WordList(terms) for name, terms in lists.items()}
        self._run_index = _build_run_index(lists)
        self._harmless = WordList(_flatten(tables.get("harmless", {})))
        lookalikes = {ord(c): letter for letter, others in tables.get("alike", {}).items() for c in others}
        self._variants = partial(spelling_variants, emoji=tables.get("emoji", {}), lookalikes=lookalikes)
        self._age_detector = AgeDetector(tables["years"]) if "years" in tables else None
        self._split_pairs = SplitPairs(tables)

    def matched_lists(self, text: str) -> frozenset[str]:
        found: set[str] = set()
        runs: set[str] = set()
        for view in self._variants(text):
            found |= self._lists_in_view(view)
            runs.update(spelled_out_words(view))
        for run in runs:
            found |= self._lists_in_run(run)
        return frozenset(found)

    def excludes_clothing(self, negative: str) -> bool:
        """Whether a negative prompt names clothing as something that should not be there."""
        clothing = self._lists.get("clothing")
        if clothing is None:
            return False
        for entry in re.split(r"[,;\n]", negative):
            words = WORD.findall(PROMPT_WEIGHT.sub("", normalize_text(entry)))
            if words and (
                clothing.match_length(words, 0) == len(words)
                or clothing.found_anywhere(normalize_text(entry))
            ):
                return True
        return False

    def _lists_in_view(self, view: str) -> set[str]:
        if self._harmless.anywhere_pattern is not None:
            view = self._harmless.anywhere_pattern.sub(" ", view)
        words = self._without_harmless(WORD.findall(view))
        found = {
            name for name, terms in self._lists.items() if terms.matches(words) or terms.found_anywhere(view)
        }
        if self._age_detector is not None and self._age_detector.mentions_minor(view):
            found.add("young")
        if self._split_pairs.matches(view):
            found |= {"young", "sexual"}
        return found

    def _without_harmless(self, words: list[str]) -> list[str]:
        kept, at = [], 0
        while at < len(words):
            length = self._harmless.match_length(words, at)
            kept.append("" if length else words[at])  # keeps the words around it apart
            at += length or 1
        return kept

    def _lists_in_run(self, run: str) -> set[str]:
        pieces = (
            run[at : at + length]
            for at in range(len(run))
            for length in range(2, min(MAX_RUN_LENGTH, len(run)) + 1)
        )
        return {name for piece in pieces for name in self._run_index.get(piece, ())}


def _build_run_index(lists: Mapping[str, Iterable[str]]) -> dict[str, set[str]]:
    """Terms as they appear in letters without spaces. Short ones are left out: they match almost any text."""
    runs: dict[str, set[str]] = defaultdict(set)
    for name, terms in lists.items():
        for term in terms:
            stem = normalize_text(term.removesuffix("*")).replace(" ", "")
            if len(stem) >= (2 if without_spaces(stem) else 4):
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

    def mentions_minor(self, text: str) -> bool:
        text = WORD.sub(lambda word: self._numbers_by_word.get(word.group(), word.group()), text)
        for word, number in self._unspaced_numbers:
            text = text.replace(word, number)
        if not any(c.isdecimal() for c in text):
            return False
        ages = (*self._number_first.findall(text), *self._number_last.findall(text))
        return SHORT_AGE.search(text) is not None or any(int(age) < ADULT_AGE for age in ages)


def _unit_pattern(word: str) -> str:
    stem = normalize_text(word.removesuffix("*"))
    allows_suffix = without_spaces(stem) or word.endswith("*")
    return r"[\s\-]+".join(map(re.escape, re.split(r"[\s\-]+", stem))) + ("" if allows_suffix else r"(?!\w)")


def _flatten(table: Mapping[str, Sequence[str]]) -> list[str]:
    return [word for words in table.values() for word in words if word]
