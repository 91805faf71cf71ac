"""What a text says with its disguises off: look-alike letters, leet, spacing, unseen characters, emoji."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cache

LEET = {ord(digit): letter for digit, letter in zip("013457@$€!|", "oieastaseii", strict=True)}
LEET_L = LEET | {ord(sign): "l" for sign in "1!|"}
SIGNS = re.compile(r"[\d@$€!|]")
LETTER = re.compile(r"[^\W\d_]")
INSIDE_WORDS = re.compile(r"(?<=\w)[.\-*·•|'’+~/\\]+(?=\w)")  # noqa: RUF001  (typographic on purpose)
SPELT_OUT = re.compile(r"(?<!\w)(?:\w[\s.\-*·•|,+~/\\]{1,3}){2,}\w(?!\w)")
REPEATED = re.compile(r"([^\W\d_])\1{2,}")
LETTER_NAME = re.compile(
    r"(?:.*\bLATIN\b.*|REGIONAL INDICATOR SYMBOL) LETTER (?:SMALL CAPITAL )?([A-Z])(?: WITH .*)?"
)
ACCENTS = re.compile(
    "["
    "\u0300-\u036f"  # Latin, Greek, Cyrillic
    "\u0591-\u05c7"  # Hebrew points
    "\u0640"  # the stretch of an Arabic word
    "\u064b-\u065f"  # Arabic vowels
    "\ufe00-\ufe0f"  # how an emoji is drawn
    "]"
)
"""Marks that may be left out: not where marks are letters, as in Devanagari."""
UNSEEN = frozenset({"Cf", "Cc", "Cs", "Co"})


def plain(text: str) -> str:
    """NFKC, small letters, no accents, nothing invisible, single spaces."""
    if text.isascii() and text.isprintable():  # most of what is written, and of the word lists
        return " ".join(text.lower().replace("_", " ").split())
    text = "".join(map(_latin, unicodedata.normalize("NFKC", text))).casefold().replace("_", " ")
    text = "".join(c for c in text if c.isspace() or unicodedata.category(c) not in UNSEEN)
    bare = ACCENTS.sub("", unicodedata.normalize("NFD", text))
    return " ".join(unicodedata.normalize("NFC", bare).split())


@cache
def _latin(c: str) -> str:
    """A boxed, circled, barred, hooked or small capital letter as the plain one that its name says."""
    found = None if c.isascii() else LETTER_NAME.fullmatch(unicodedata.name(c, ""))
    return found[1].lower() if found else c


def views(text: str, *, emoji: Mapping[str, str], alike: Mapping[int, str]) -> frozenset[str]:
    """Every way the text may be meant; a rule that one of them breaks is broken."""
    for symbol, word in emoji.items():
        text = text.replace(symbol, f" {word} ")
    found = {plain(text), plain(_closed_up(text))}
    found |= {view.translate(alike) for view in found}
    found |= {_unleet(view, table) for view in found for table in (LEET, LEET_L)}
    found |= {REPEATED.sub(times, view) for view in found for times in (r"\1", r"\1\1")}
    found |= {INSIDE_WORDS.sub("", view) for view in found}
    return frozenset(found)


def _closed_up(text: str) -> str:
    """Words written letter by letter, where a wider gap stands between two words."""
    shown = "".join(c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) not in UNSEEN)
    return SPELT_OUT.sub(lambda run: re.sub(r"\s{2,}|(\W)", _gap, run.group()), shown)


def _gap(found: re.Match[str]) -> str:
    return "" if found.group(1) else " "


def spelt_out(view: str) -> list[str]:
    """Words written letter by letter, run together."""
    return [re.sub(r"\W+", "", run.group()) for run in SPELT_OUT.finditer(view)]


def squeezed(view: str) -> tuple[str, frozenset[int], frozenset[int]]:
    """The letters without anything between them, and where words begin and end among them."""
    letters: list[str] = []
    begins, ends = set(), set()
    for word in re.findall(r"[^\W\d_]+", view):
        begins.add(len(letters))
        letters.extend(word)
        ends.add(len(letters))
    return "".join(letters), frozenset(begins), frozenset(ends)


def _unleet(view: str, table: Mapping[int, str]) -> str:
    """Only words that have letters as well: a number alone is a number."""
    return " ".join(
        word.translate(table) if SIGNS.search(word) and LETTER.search(word) else word
        for word in view.split(" ")
    )


SCRIPTS = {
    "LATIN": "latin", "CYRILLIC": "cyrillic", "GREEK": "greek", "ARABIC": "arabic", "HEBREW": "hebrew",
    "CJK": "chinese", "HIRAGANA": "japanese", "KATAKANA": "japanese", "HANGUL": "korean",
    "DEVANAGARI": "devanagari", "THAI": "thai",
}  # fmt: skip


def scripts_of(text: str) -> frozenset[str]:
    """What the letters of a text are written in; "other" for any that we have no name for."""
    letters = {c for c in unicodedata.normalize("NFKC", text) if c.isalpha()}
    return frozenset(SCRIPTS.get(unicodedata.name(c, "?").split()[0], "other") for c in letters)


def without_spaces(word: str) -> bool:
    """True for scripts that put no space between words."""
    scripts = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "THAI")
    return any(unicodedata.name(c, "").startswith(scripts) for c in word)
