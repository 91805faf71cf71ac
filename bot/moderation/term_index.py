"""An index of many word lists: one pass over a text finds the terms of all lists."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

from bot.moderation.text_normalization import WORD, normalize_text, without_spaces

JOINED_PREFIXES = {
    "ARABIC": [a + b + c for a, b, c in product(("", "و", "ف"), ("", "ب", "ك", "ل"), ("", "ال"))] + ["لل"],
    "HEBREW": [a + b + c for a, b, c in product(("", "ו", "ש", "כ"), ("", "ב", "ל", "מ"), ("", "ה"))],  # noqa: RUF001  (Hebrew)
}
"""Prefixes of scripts that join "and", "with" and "the" to the following word."""
MIN_STEM = 2
"""Letters that must follow such a prefix."""


@dataclass(frozen=True, slots=True)
class Match:
    """A term of a list, at these positions of the text."""

    list: str
    start: int
    end: int

    def of(self, text: str) -> str:
        return text[self.start : self.end]

    def overlaps(self, other: Match) -> bool:
        return self.start < other.end and other.start < self.end


@dataclass(frozen=True, slots=True)
class Token:
    text: str
    start: int
    end: int


def tokens_of(text: str) -> list[Token]:
    return [Token(found.group(), found.start(), found.end()) for found in WORD.finditer(text)]


@dataclass(frozen=True, slots=True)
class Phrase:
    """Consecutive words; with `is_prefix`, the last may be only the beginning of a word."""

    words: tuple[str, ...]
    is_prefix: bool
    list: str

    def matches_after_first(self, tokens: Sequence[Token], at: int) -> bool:
        found = tokens[at : at + len(self.words)]
        if len(found) < len(self.words):
            return False
        if any(token.text != word for token, word in zip(found[1:-1], self.words[1:-1], strict=True)):
            return False
        last = found[-1].text
        return last.startswith(self.words[-1]) if self.is_prefix else last == self.words[-1]


class TermIndex:
    """Terms in scripts without spaces match anywhere in a text, others only as whole words.

    A star at the end of a term stands for any ending of its last word.
    """

    def __init__(self) -> None:
        self._words: dict[str, set[str]] = defaultdict(set)
        self._stems: dict[str, set[str]] = defaultdict(set)
        self._stem_lengths: set[int] = set()
        self._phrases: dict[str, list[Phrase]] = defaultdict(list)
        self._unspaced: dict[str, list[tuple[str, str]]] = defaultdict(list)
        self._lists_of_word = lru_cache(maxsize=20_000)(self._find_lists_of_word)

    def add(self, list_name: str, term: str) -> None:
        is_prefix = term.endswith("*")
        stem = normalize_text(term.removesuffix("*"))
        if without_spaces(stem):
            for spelling in {stem, stem.replace(" ", "")}:
                self._unspaced[spelling[0]].append((spelling, list_name))
            return
        words = tuple(WORD.findall(stem))
        if len(words) > 1:
            self._phrases[words[0]].append(Phrase(words, is_prefix, list_name))
        elif words and is_prefix:
            self._stems[words[0]].add(list_name)
            self._stem_lengths.add(len(words[0]))
        elif words:
            self._words[words[0]].add(list_name)

    def words(self) -> Iterator[str]:
        """Every word of every term."""
        yield from self._words
        yield from self._stems
        for phrases in self._phrases.values():
            for phrase in phrases:
                yield from phrase.words

    def lists_of_word(self, word: str) -> frozenset[str]:
        """The lists with this word, or with a beginning of it that is marked with a star."""
        return self._lists_of_word(word)

    def search(self, text: str, tokens: Sequence[Token]) -> list[Match]:
        found = []
        for at, token in enumerate(tokens):
            found += [Match(name, token.start, token.end) for name in self._lists_of_word(token.text)]
            for first in _without_joined_prefixes(token.text):
                for phrase in self._phrases.get(first, ()):
                    if phrase.matches_after_first(tokens, at):
                        end = tokens[at + len(phrase.words) - 1].end
                        found.append(Match(phrase.list, token.start, end))
        if without_spaces(text):
            found += self._search_unspaced(text)
        return found

    def _find_lists_of_word(self, word: str) -> frozenset[str]:
        found: set[str] = set()
        for form in _without_joined_prefixes(word):
            found |= self._words.get(form, set())
            for length in self._stem_lengths:
                if length <= len(form):
                    found |= self._stems.get(form[:length], set())
        return frozenset(found)

    def _search_unspaced(self, text: str) -> Iterator[Match]:
        for start, first in enumerate(text):
            for term, name in self._unspaced.get(first, ()):
                if text.startswith(term, start):
                    yield Match(name, start, start + len(term))


@lru_cache(maxsize=20_000)
def _without_joined_prefixes(word: str) -> tuple[str, ...]:
    """The word unchanged, and without each prefix that its script may join to it."""
    script = unicodedata.name(word[0], "?").split()[0]
    prefixes = JOINED_PREFIXES.get(script, ())
    stripped = {word.removeprefix(prefix) for prefix in prefixes if len(word) >= len(prefix) + MIN_STEM}
    return (word, *sorted(stripped - {word}))


def split_entries(text: str) -> list[str]:
    return re.split(r"[,;\n]", text)
