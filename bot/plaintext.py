"""What a text says with its disguises off: look-alike letters, leet, spacing, unseen characters, emoji."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

LEET = {ord(digit): letter for digit, letter in zip("013457@$€!|", "oieastaseii", strict=True)}
LEET_L = LEET | {ord(sign): "l" for sign in "1!|"}
SIGNS = re.compile(r"[\d@$€!|]")
LETTER = re.compile(r"[^\W\d_]")
INSIDE_WORDS = re.compile(r"(?<=\w)[.\-*·•|'’+~/\\]+(?=\w)")  # noqa: RUF001  (typographic on purpose)
SPELT_OUT = re.compile(r"(?<!\w)(?:\w[\s.\-*·•|,+~/\\]{1,3}){2,}\w(?!\w)")
REPEATED = re.compile(r"([^\W\d_])\1{2,}")
UNSEEN = frozenset({"Cf", "Cc", "Cs", "Co"})


def plain(text: str) -> str:
    """NFKC, small letters, no accents, nothing invisible, single spaces."""
    text = unicodedata.normalize("NFKC", text).casefold().replace("_", " ")
    text = "".join(c for c in text if c.isspace() or unicodedata.category(c) not in UNSEEN)
    bare = "".join(c for c in unicodedata.normalize("NFD", text) if not _accent(c))
    return " ".join(unicodedata.normalize("NFC", bare).split())


def _accent(c: str) -> bool:
    """Marks on Latin, Greek and Cyrillic letters and picture selectors; elsewhere marks are letters."""
    return 0x0300 <= ord(c) <= 0x036F or 0xFE00 <= ord(c) <= 0xFE0F


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


def _unleet(view: str, table: Mapping[int, str]) -> str:
    """Only words that have letters as well: a number alone is a number."""
    return " ".join(
        word.translate(table) if SIGNS.search(word) and LETTER.search(word) else word
        for word in view.split(" ")
    )


def without_spaces(word: str) -> bool:
    """True for scripts that put no space between words."""
    scripts = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "THAI")
    return any(unicodedata.name(c, "").startswith(scripts) for c in word)
