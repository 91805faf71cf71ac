"""Guess which words were meant by misspelled, masked, split or joined ones."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from bot.moderation.text_normalization import IN_WORDS, without_spaces

MIN_MISSPELLED = 4
LONG_WORD = 6
MIN_JOINED = 10
"""Letters of a word that is read as several words without spaces."""
MAX_FRAGMENT = 4
MAX_FRAGMENTS = 24
MAX_WORD = 20
MIN_CONSONANTS = 3
VOWELS = re.compile("[aeiouyаеёиоуыэюяіїє]")  # noqa: RUF001  (Latin and Cyrillic)
DOUBLED = re.compile(r"(.)\1+")
SYMBOLS_INSIDE_WORDS = re.compile(rf"(?<=[{IN_WORDS}])[^{IN_WORDS}\s]+(?=[{IN_WORDS}])")
SOUNDS = (("ph", "f"), ("ck", "k"), ("c", "k"), ("q", "k"), ("z", "s"), ("x", "ks"))
LATIN_OR_CYRILLIC = re.compile("[a-z\u0400-\u04ff]")
MASK = re.compile(r"[*#]+")
SHORT_TEXT = (
    "a i an as at be by do go he if in is it me my no of on or so to up us we de la le el un en et di da il"
)
SHORT_WORDS = frozenset(SHORT_TEXT.split(" "))
DIGIT_LETTERS = str.maketrans("0134578968@$€!|", "oieastbgbbaseii")


class SpellingCorrector:
    """Corrects words that are in neither list, towards those that are.

    `terms` are the words of the rules, `common` are everyday words. The result is a guess: some harmless
    words are as close to a term.
    """

    def __init__(
        self, terms: Iterable[str], common: Iterable[str], is_listed: Callable[[str], object]
    ) -> None:
        """`is_listed` is true for every word that a list matches, harmless ones included."""
        self._is_listed = is_listed
        self._terms = dict.fromkeys(w for w in terms if w.isalpha() and not without_spaces(w))
        self._known = {*self._terms, *common, *SHORT_WORDS}
        self._by_shortened: dict[str, str] = {}
        self._by_sound: dict[str, str] = {}
        self._by_consonants: dict[str, str] = {}
        self._by_shape: dict[tuple[str, int], list[str]] = defaultdict(list)
        for word in (*self._terms, *sorted(self._known - self._terms.keys())):
            if len(word) < MIN_MISSPELLED:
                continue
            for shortened in _without_one_letter(word):
                self._by_shortened.setdefault(shortened, word)
            self._by_sound.setdefault(_sound(word), word)
            self._by_consonants.setdefault(_consonants(word), word)
            self._by_shape[word[0], len(word)].append(word)

    def corrected(self, view: str) -> str | None:
        """The text with corrected words, or None if there is nothing to correct."""
        words = [self._without_symbols(word) for word in view.split(" ")]
        result: list[str] = []
        at = 0
        while at < len(words):
            end = self._end_of_fragments(words, at)
            joined = self._segmented("".join(words[at:end])) if end > at + 1 else None
            if joined is None:
                end, joined = at + 1, self._correct(words[at])
            result += joined
            at = end
        return " ".join(result) if result != view.split(" ") else None

    def _without_symbols(self, word: str) -> str:
        """The word without symbols between its letters, unless they separate known words."""
        pieces = SYMBOLS_INSIDE_WORDS.split(word)
        if len(pieces) == 1 or all(len(piece) > 1 and piece in self._known for piece in pieces):
            return word
        return SYMBOLS_INSIDE_WORDS.sub(_keep_mask, word).strip("()[]{}<>")

    def unreversed(self, view: str) -> str:
        """The text with every unknown word read backwards."""
        return " ".join(
            word[::-1]
            if word.isalpha() and len(word) >= MIN_MISSPELLED and not self._is_known(word)
            else word
            for word in view.split(" ")
        )

    def _end_of_fragments(self, words: Sequence[str], at: int) -> int:
        """Where the words end that may be pieces of words: short ones, of which some are unknown."""
        end = at
        while (
            end < min(len(words), at + MAX_FRAGMENTS)
            and words[end].isalpha()
            and (len(words[end]) <= MAX_FRAGMENT or not self._is_known(words[end]))
        ):
            end += 1
        pieces = words[at:end]
        return end if any(not self._is_known(piece) for piece in pieces) else at

    def _correct(self, word: str) -> list[str]:
        core = word.strip(".,;:!?()[]{}<>\"'")
        if not core or self._is_known(core) or not LATIN_OR_CYRILLIC.search(core):
            return [word]
        if MASK.search(core):
            return [self._unmasked(core)]
        letters = core.translate(DIGIT_LETTERS)
        if letters in self._known:
            return [letters]
        if not letters.isalpha():
            return [word]
        if len(letters) >= MIN_JOINED and (parts := self._segmented(letters)):
            return parts
        return [self._nearest(letters) or word]

    def _is_known(self, word: str) -> bool:
        return word in self._known or bool(self._is_listed(word))

    def _nearest(self, word: str) -> str | None:
        """A known word that is one typing error away, or that sounds alike."""
        for candidate in (word, *_without_one_letter(word)):
            found = candidate if candidate in self._known else self._by_shortened.get(candidate)
            if found is not None and found[0] == word[0] and _is_likely_error(word, found):
                return found
        if VOWELS.search(word) is None:
            return self._by_consonants.get(word) if len(word) >= MIN_CONSONANTS else None
        return self._by_sound.get(_sound(word)) if len(word) > MIN_MISSPELLED else None

    def _unmasked(self, word: str) -> str:
        """The term that fits a word with letters hidden behind stars."""
        pattern = re.compile(
            MASK.sub(
                lambda mask: rf"\w{{{len(mask.group())}}}",
                re.escape(word).replace(r"\*", "*").replace(r"\#", "#"),
            )
        )
        shapes = self._by_shape.get((word[0], len(word)), ())
        return next((known for known in shapes if pattern.fullmatch(known)), word.replace("*", ""))

    def _segmented(self, letters: str) -> list[str] | None:
        """The letters as known words, as few as possible; None if they cannot be read so."""
        best: list[tuple[int, int] | None] = [(0, 0)] + [None] * len(letters)
        for end in range(1, len(letters) + 1):
            for begin in range(max(0, end - MAX_WORD), end):
                before, word = best[begin], letters[begin:end]
                if before is None or not (word in self._known and (len(word) > 2 or word in SHORT_WORDS)):
                    continue
                cost = before[0] + (2 if word in self._terms else 3)
                current = best[end]
                if current is None or cost < current[0]:
                    best[end] = (cost, begin)
        if best[-1] is None:
            return None
        words, end = [], len(letters)
        while end:
            step = best[end]
            assert step is not None, "each step leads back to a readable beginning"
            words.append(letters[step[1] : end])
            end = step[1]
        return words[::-1]


def _keep_mask(symbols: re.Match[str]) -> str:
    return symbols.group() if MASK.fullmatch(symbols.group()) else ""


def _without_one_letter(word: str) -> Iterator[str]:
    for at in range(len(word)):
        yield word[:at] + word[at + 1 :]


def _is_likely_error(typed: str, meant: str) -> bool:
    """Two letters swapped or one doubled in any word; a letter too few, too many or another in a long one."""
    if len(meant) < MIN_MISSPELLED or len(typed) < MIN_MISSPELLED:
        return False
    return len(typed) >= LONG_WORD or sorted(typed) == sorted(meant) or DOUBLED.sub(r"\1", typed) == meant


def _sound(word: str) -> str:
    """The word with one sign for letters that sound alike."""
    for letters, sign in SOUNDS:
        word = word.replace(letters, sign)
    return DOUBLED.sub(r"\1", word)


def _consonants(word: str) -> str:
    return DOUBLED.sub(r"\1", word[:1] + VOWELS.sub("", word[1:]))
