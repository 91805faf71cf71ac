"""Undo disguises in text: look-alike letters, leet, spacing, invisible characters and emoji."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cache

LEET = {ord(digit): letter for digit, letter in zip("013457@$€!|", "oieastaseii", strict=True)}
LEET_WITH_L = LEET | {ord(sign): "l" for sign in "1!|"}
LEET_SIGNS = re.compile(r"[\d@$€!|]")
LETTER = re.compile(r"[^\W\d_]")
PUNCTUATION_INSIDE_WORDS = re.compile(r"(?<=\w)[.\-*·•|'’+~/\\]+(?=\w)")  # noqa: RUF001  (typographic on purpose)
SPELLED_OUT = re.compile(r"(?<!\w)(?:\w[\s.\-*·•|,+~/\\]{1,3}){2,}\w(?!\w)")
REPEATED_LETTERS = re.compile(r"([^\W\d_])\1{2,}")
LATIN_LETTER_NAME = re.compile(
    r"(?:.*\bLATIN\b.*|REGIONAL INDICATOR SYMBOL) LETTER (?:SMALL CAPITAL )?([A-Z])(?: WITH .*)?"
)
OPTIONAL_MARKS = re.compile(
    "["
    "\u0300-\u036f"  # Latin, Greek, Cyrillic
    "\u0591-\u05c7"  # Hebrew points
    "\u0640"  # the tatweel, which stretches an Arabic word
    "\u064b-\u065f"  # Arabic vowels
    "\ufe00-\ufe0f"  # variation selectors of emoji
    "]"
)
"""Marks that a writer may omit. Scripts whose marks are letters, such as Devanagari, are not listed."""
INVISIBLE_CATEGORIES = frozenset({"Cf", "Cc", "Cs", "Co"})


def normalize_text(text: str) -> str:
    """Apply NFKC, case folding and single spaces; remove accents and invisible characters."""
    if text.isascii() and text.isprintable():  # a fast path for most prompts and word lists
        return " ".join(text.lower().replace("_", " ").split())
    text = "".join(map(_latin_letter, unicodedata.normalize("NFKC", text))).casefold().replace("_", " ")
    text = "".join(c for c in text if c.isspace() or unicodedata.category(c) not in INVISIBLE_CATEGORIES)
    without_marks = OPTIONAL_MARKS.sub("", unicodedata.normalize("NFD", text))
    return " ".join(unicodedata.normalize("NFC", without_marks).split())


@cache
def _latin_letter(c: str) -> str:
    """The plain letter for a boxed, circled, barred, hooked or small capital one, from its Unicode name."""
    found = None if c.isascii() else LATIN_LETTER_NAME.fullmatch(unicodedata.name(c, ""))
    return found[1].lower() if found else c


def spelling_variants(
    text: str, *, emoji: Mapping[str, str], lookalikes: Mapping[int, str]
) -> frozenset[str]:
    """Every possible reading of the text. A rule is broken if one reading breaks it."""
    for symbol, word in emoji.items():
        text = text.replace(symbol, f" {word} ")
    found = {normalize_text(text), normalize_text(_join_spelled_out(text))}
    found |= {view.translate(lookalikes) for view in found}
    found |= {_decode_leet(view, table) for view in found for table in (LEET, LEET_WITH_L)}
    found |= {REPEATED_LETTERS.sub(times, view) for view in found for times in (r"\1", r"\1\1")}
    found |= {PUNCTUATION_INSIDE_WORDS.sub("", view) for view in found}
    return frozenset(found)


def _join_spelled_out(text: str) -> str:
    """Join words that are spelled letter by letter, with a wider gap between two words."""
    visible = "".join(
        c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) not in INVISIBLE_CATEGORIES
    )
    return SPELLED_OUT.sub(lambda run: re.sub(r"\s{2,}|(\W)", _keep_word_gap, run.group()), visible)


def _keep_word_gap(found: re.Match[str]) -> str:
    return "" if found.group(1) else " "


def spelled_out_words(view: str) -> list[str]:
    """Words that are spelled letter by letter, joined."""
    return [re.sub(r"\W+", "", run.group()) for run in SPELLED_OUT.finditer(view)]


def letters_with_boundaries(view: str) -> tuple[str, frozenset[int], frozenset[int]]:
    """The letters without separators, and the positions at which words begin and end."""
    letters: list[str] = []
    begins, ends = set(), set()
    for word in re.findall(r"[^\W\d_]+", view):
        begins.add(len(letters))
        letters.extend(word)
        ends.add(len(letters))
    return "".join(letters), frozenset(begins), frozenset(ends)


def _decode_leet(view: str, table: Mapping[int, str]) -> str:
    """Decode only words that also contain letters: digits alone are a number."""
    return " ".join(
        word.translate(table) if LEET_SIGNS.search(word) and LETTER.search(word) else word
        for word in view.split(" ")
    )


SCRIPTS = {
    "LATIN": "latin", "CYRILLIC": "cyrillic", "GREEK": "greek", "ARABIC": "arabic", "HEBREW": "hebrew",
    "CJK": "chinese", "HIRAGANA": "japanese", "KATAKANA": "japanese", "HANGUL": "korean",
    "DEVANAGARI": "devanagari", "THAI": "thai",
}  # fmt: skip


def scripts_of(text: str) -> frozenset[str]:
    """The scripts of the letters in the text; "other" for a script that is not in SCRIPTS."""
    letters = {c for c in unicodedata.normalize("NFKC", text) if c.isalpha()}
    return frozenset(SCRIPTS.get(unicodedata.name(c, "?").split()[0], "other") for c in letters)


def without_spaces(word: str) -> bool:
    """True if the word is in a script that puts no spaces between words."""
    scripts = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "THAI")
    return any(unicodedata.name(c, "").startswith(scripts) for c in word)
