"""Word lists, indexed: which of them does a text meet? As much work for a long text as it has words."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

from bot.moderation.text_normalization import plain, spelt_out, squeezed, views, without_spaces

MAJORITY = 18
APART = {"alike", "emoji", "harmless", "years"}
MARKS = "\u0610-\u061a\u064b-\u065f\u05b0-\u05c7\u0900-\u0903\u093a-\u094f\u0e31\u0e34-\u0e4e"
WORD = re.compile(rf"[\w{MARKS}]+")
WEIGHT = re.compile(r":\s*[\d.]+\s*\)?$")
PREFIXES = {
    "ARABIC": [a + b + c for a, b, c in product(("", "و", "ف"), ("", "ب", "ك", "ل"), ("", "ال"))] + ["لل"],
    "HEBREW": [a + b + c for a, b, c in product(("", "ו", "ש", "כ"), ("", "ב", "ל", "מ"), ("", "ה"))],  # noqa: RUF001  (Hebrew)
}
"""Scripts that write "and", "with" and "the" onto the word."""
MEASURES = (
    "m|cm|mm|km|kg|ft|fps|foot|feet|inch|inches|meters?|metres?|miles?|minutes?|min|seconds?|sec|s|hours?"
)
SHORT_AGE = re.compile(r"(?<!\w)1[0-7]\s?f(?!\w)|(?<![\w/])f\s?1[0-57](?!\w)")
LONGEST_RUN = 24
ENDING = 3
"""Letters that may follow a stem where two words stand without a gap."""


@dataclass(frozen=True, slots=True)
class Term:
    """`words` in a row; `open_` if the last may go on."""

    words: tuple[str, ...]
    open_: bool

    def starts(self, words: Sequence[str], at: int) -> bool:
        there = words[at : at + len(self.words)]
        if len(there) < len(self.words) or tuple(there[:-1]) != self.words[:-1]:
            return False
        return there[-1].startswith(self.words[-1]) if self.open_ else there[-1] == self.words[-1]


class Terms:
    """One list. Words of scripts without spaces are found anywhere, the others whole."""

    def __init__(self, terms: Iterable[str]) -> None:
        self._first: dict[str, list[Term]] = defaultdict(list)
        self._stems: dict[str, None] = {}
        anywhere = []
        for term in terms:
            stem = plain(term.removesuffix("*"))
            if without_spaces(stem):
                anywhere.append(re.escape(stem))
            else:
                for words in _written(WORD.findall(stem)):
                    self._add(words, open_=term.endswith("*"))
        self._lengths = frozenset(map(len, self._stems))
        alternatives = sorted(set(anywhere), key=len, reverse=True)
        self.anywhere = re.compile("|".join(alternatives)) if alternatives else None

    def _add(self, words: tuple[str, ...], *, open_: bool) -> None:
        if len(words) == 1 and open_:
            self._stems[words[0]] = None
        elif words:
            self._first[words[0]].append(Term(words, open_))

    def length_at(self, words: Sequence[str], at: int) -> int:
        """How many words from there are the longest term of this list; 0 if none is."""
        known = max((len(t.words) for t in self._first.get(words[at], ()) if t.starts(words, at)), default=0)
        word = words[at]
        return known or int(self._goes_on(word))

    def met(self, words: Sequence[str]) -> bool:
        if any(self._goes_on(word) for word in set(words)):
            return True
        return any(word in self._first and self.length_at(words, at) for at, word in enumerate(words))

    def _goes_on(self, word: str) -> bool:
        return not self._lengths.isdisjoint(range(1, len(word) + 1)) and any(
            word[:length] in self._stems for length in self._lengths
        )

    def found_in(self, view: str) -> bool:
        return self.anywhere is not None and self.anywhere.search(view) is not None


def _written(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """As it is, and with whatever its script writes onto its front."""
    if not words:
        return
    script = unicodedata.name(words[0][0], "").split()[0]
    for prefix in PREFIXES.get(script, ("",)):
        yield (prefix + words[0], *words[1:])


class Lexicon:
    def __init__(self, words: Mapping[str, Mapping[str, Any]], operator: Iterable[str] = ()) -> None:
        lists = {name: _flat(table) for name, table in words.items() if name not in APART}
        lists["operator"] = list(operator)
        self._lists = {name: Terms(terms) for name, terms in lists.items()}
        self._runs = _runs(lists)
        self._harmless = Terms(_flat(words.get("harmless", {})))
        alike = {ord(c): letter for letter, others in words.get("alike", {}).items() for c in others}
        self._views = partial(views, emoji=words.get("emoji", {}), alike=alike)
        self._ages = Ages(words["years"]) if "years" in words else None
        self._pairs = Pairs(words)

    def met(self, text: str) -> frozenset[str]:
        found: set[str] = set()
        runs: set[str] = set()
        for view in self._views(text):
            found |= self._in_view(view)
            runs.update(spelt_out(view))
        for run in runs:
            found |= self._in_run(run)
        return frozenset(found)

    def bare(self, negative: str) -> bool:
        """Whether a negative prompt names clothing as something that should not be there."""
        clothing = self._lists.get("clothing")
        if clothing is None:
            return False
        for entry in re.split(r"[,;\n]", negative):
            words = WORD.findall(WEIGHT.sub("", plain(entry)))
            if words and (clothing.length_at(words, 0) == len(words) or clothing.found_in(plain(entry))):
                return True
        return False

    def _in_view(self, view: str) -> set[str]:
        if self._harmless.anywhere is not None:
            view = self._harmless.anywhere.sub(" ", view)
        words = self._without_harmless(WORD.findall(view))
        found = {name for name, terms in self._lists.items() if terms.met(words) or terms.found_in(view)}
        if self._ages is not None and self._ages.young(view):
            found.add("young")
        if self._pairs.met(view):
            found |= {"young", "sexual"}
        return found

    def _without_harmless(self, words: list[str]) -> list[str]:
        kept, at = [], 0
        while at < len(words):
            length = self._harmless.length_at(words, at)
            kept.append("" if length else words[at])  # what stood apart does not come together
            at += length or 1
        return kept

    def _in_run(self, run: str) -> set[str]:
        pieces = (
            run[at : at + length]
            for at in range(len(run))
            for length in range(2, min(LONGEST_RUN, len(run)) + 1)
        )
        return {name for piece in pieces for name in self._runs.get(piece, ())}


def _runs(lists: Mapping[str, Iterable[str]]) -> dict[str, set[str]]:
    """Terms as they stand within letters run together; short ones would be found in anything."""
    runs: dict[str, set[str]] = defaultdict(set)
    for name, terms in lists.items():
        for term in terms:
            stem = plain(term.removesuffix("*")).replace(" ", "")
            if len(stem) >= (2 if without_spaces(stem) else 4):
                runs[stem].add(name)
    return dict(runs)


class Pairs:
    """English words of both sides of the strictest rule, with their own gap gone or gaps elsewhere."""

    def __init__(self, words: Mapping[str, Mapping[str, Any]]) -> None:
        young = _single(words, "young", "girls")
        sexual = _single(words, "sexual")
        self._ways = ((young, sexual), (sexual, young))

    def met(self, view: str) -> bool:
        letters, begins, ends = squeezed(view)
        return any(
            second_end in ends
            for begin in begins
            for first, second in self._ways
            for first_end in _ends(first, letters, begin)
            for second_end in _ends(second, letters, first_end)
        )


def _single(words: Mapping[str, Mapping[str, Any]], *names: str) -> dict[str, bool]:
    """Single words, and whether each may go on."""
    terms = [term for name in names for term in words.get(name, {}).get("en", ())]
    stems = {plain(term.removesuffix("*")): term.endswith("*") for term in terms}
    return {stem: open_ for stem, open_ in stems.items() if stem.isalpha() and len(stem) > 2}


def _ends(known: Mapping[str, bool], letters: str, begin: int) -> Iterator[int]:
    for end in range(begin + 3, min(len(letters), begin + LONGEST_RUN) + 1):
        open_ = known.get(letters[begin:end])
        if open_ is not None:
            yield from range(end, end + 1 + (ENDING if open_ else 0))


class Ages:
    """Ages said in numbers or in words, before or after what makes them one."""

    def __init__(self, years: Mapping[str, Any]) -> None:
        numbers = {plain(word): str(number) for word, number in years.get("numbers", {}).items()}
        self._spaced = {word: number for word, number in numbers.items() if not without_spaces(word)}
        self._unspaced = sorted(
            ((word, number) for word, number in numbers.items() if without_spaces(word)),
            key=lambda pair: -len(pair[0]),
        )
        number = r"(?<!\d)(\d{1,2})(?!\d)"
        after = "|".join(_unit(word) for word in years["all"])
        before = "|".join(re.escape(plain(word)) for word in years["before"])
        self._after = re.compile(rf"{number}[\s\-]*(?:{after})")
        self._before = re.compile(
            rf"(?<!\w)(?:{before})[\s:(]*{number}(?![\w%:./])(?!\s*(?:{MEASURES}|bpm|k|of)\b)"
        )

    def young(self, text: str) -> bool:
        text = WORD.sub(lambda word: self._spaced.get(word.group(), word.group()), text)
        for word, number in self._unspaced:
            text = text.replace(word, number)
        if not any(c.isdecimal() for c in text):
            return False
        said = (*self._after.findall(text), *self._before.findall(text))
        return SHORT_AGE.search(text) is not None or any(int(age) < MAJORITY for age in said)


def _unit(word: str) -> str:
    stem = plain(word.removesuffix("*"))
    closed = without_spaces(stem) or word.endswith("*")
    return r"[\s\-]+".join(map(re.escape, re.split(r"[\s\-]+", stem))) + ("" if closed else r"(?!\w)")


def _flat(table: Mapping[str, Sequence[str]]) -> list[str]:
    return [word for words in table.values() for word in words if word]
