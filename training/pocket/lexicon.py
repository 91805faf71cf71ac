"""Free phrasing: patterns with which the tokenizer replaces other wordings by training phrases."""

import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from training.pocket import captions

_DATA = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
SYNONYMS: dict[str, dict[str, list[str]]] = _DATA["same"]
STAND_INS: dict[str, dict[str, list[str]]] = _DATA["stand_ins"]
WORDS: dict[str, list[str]] = _DATA["words"]

# The training phrase for each value whose phrase is not its name.
_CANONICAL_PHRASES = {
    "sky": "in the sky",
    "sea": "over the sea",
    "meadow": "in a meadow",
    "desert": "in the desert",
    "snow": "in the snow",
    "city": "in the city",
    "space": "in space",
    "day": "by day",
    "night": "at night",
    "left": "moving left",
    "right": "moving right",
    "rise": "rising",
    "fall": "falling",
    "bounce": "bouncing",
    "spin": "spinning",
    "grow": "growing",
    "circle": "circling",
}
_SNOWY_GROUND = "hills?|fields?|meadows?|landscape|mountains?|ground|plains?|woods|park|garden|grass|slopes?"
_AIR = "(?:(?:in|among|from|into|through|across|over|out of) )?(?:the |a )?(?:sky|skies|clouds?|air)"
_TO = "(?:to |towards |toward )?(?:the |your |its )?(?=left|right)"
_PLACING = "in|at|on|over|by|under|near|among|above"


def replacement_rules() -> Iterator[tuple[str, str]]:
    """Patterns and their replacements, in order; for lower-case words separated by one space."""
    yield from _scenery_rules()
    yield from _motion_rules()
    for kind, value, wordings in _table(SYNONYMS):
        yield rf"\b(?:{_alternatives(_with_plurals(kind, wordings))})\b", _canonical_phrase(value)
    yield rf"\b(?!moving (?:left|right)\b){_moving_pattern()}\b", ""
    for kind, value, wordings in _table(STAND_INS):
        yield from _rules_unless_present(
            _known_phrases(kind), _alternatives(_with_plurals(kind, wordings)), _canonical_phrase(value)
        )
    grounds = {phrase for phrase in _known_phrases("place") if not re.search(_AIR, phrase)}
    yield from _rules_unless_present(grounds, _AIR, _canonical_phrase("sky"))
    yield rf"\b(?!(?:{_alternatives(captions.known_words())})\b)\w+", ""
    for _ in range(2):
        yield rf"\b(?:a|the|{_PLACING}|of|with) (?=(?:{_PLACING})\b)", ""


def _scenery_rules() -> Iterator[tuple[str, str]]:
    """Remove the colours of skies and grounds, which are not the colour of the figure."""
    colours, scenery, shades = (
        _alternatives(_known_phrases("colour")),
        _alternatives(WORDS["scenery"]),
        _alternatives(WORDS["shades"]),
    )
    yield rf"\b(?:{shades}) (?=(?:{colours})\b)", ""
    yield rf"\b(?:dark|black) (?=(?:{scenery})\b)", "night "
    yield rf"\b(?:{colours}|white|{shades}) (?=(?:{scenery})\b)", ""
    yield rf"\b(?:snow covered|snowy|icy|frozen|wintry) (?:{_SNOWY_GROUND})\b", "in the snow"
    yield r"(?<!the )\bstars\b(?! in the)", "star"


def _motion_rules() -> Iterator[tuple[str, str]]:
    """Up and down is a bounce; a motion without a direction goes to the right."""
    directed = _alternatives({*_known_phrases("motion"), "left", "right", "up", "down"})
    yield r"\b(?:up|down) and (?:up|down)\b", "bouncing"
    spin = r"\b(?:spin|rotat|turn|twirl|whirl)(?:s|es|ing)?"
    yield rf"{spin} (?:a?round and a?round|a?round in (?:a )?circles?)\b", "spinning"
    yield rf"^(?=.*\b{_moving_pattern()}\b)(?!.*\b(?:{directed})\b)", "moving right "
    yield rf"\b(?:{_moving_pattern()}|turning|turns|turn) {_TO}", "moving "


def _rules_unless_present(
    better_phrases: set[str], pattern: str, replacement: str
) -> Iterator[tuple[str, str]]:
    """Replace `pattern` by `replacement`; delete them if a phrase of `better_phrases` occurs anywhere."""
    others = rf"\b(?:{_alternatives(better_phrases)})\b"
    yield rf"\b(?:{pattern})\b(?=.*{others})", ""
    yield rf"(?<={others}.*)\b(?:{pattern})\b", ""
    yield rf"\b(?:{pattern})\b", replacement


def vocabulary() -> dict[str, Any]:
    """The vocabulary that is saved with the weights, to tell the user which words are known."""
    plain = {*captions.known_words(), *WORDS["small"], *WORDS["moving"], "turn", "turns", "turning"}
    return {
        "kinds": {k: {v: phrases(k, v) for v in values} for k, values in captions.PHRASES.items()},
        "stand_ins": {
            kind: {value: sorted(_with_plurals(kind, wordings)) for value, wordings in values.items()}
            for kind, values in STAND_INS.items()
        },
        "other": sorted(plain - {*WORDS["ignored"]}),
    }


def phrases(kind: str, value: str) -> list[str]:
    """All phrases for this value, those of the training captions first."""
    return list(dict.fromkeys([*captions.PHRASES[kind][value], *SYNONYMS[kind][value]]))


def _table(data: dict[str, dict[str, list[str]]]) -> Iterator[tuple[str, str, list[str]]]:
    for kind, values in data.items():
        for value, wordings in values.items():
            yield kind, value, wordings


def _canonical_phrase(value: str) -> str:
    return _CANONICAL_PHRASES.get(value, value)


def _with_plurals(kind: str, wordings: Iterable[str]) -> set[str]:
    """Add plurals of figures; the clip shows one figure all the same."""
    words = set(wordings)
    return words | {f"{word}s" for word in words} if kind == "actor" else words


def _known_phrases(kind: str) -> set[str]:
    return {phrase for value in captions.PHRASES[kind] for phrase in phrases(kind, value)}


def _moving_pattern() -> str:
    return f"(?:{_alternatives(WORDS['moving'])})"


def _alternatives(words: Iterable[str]) -> str:
    return "|".join(sorted(words, key=lambda word: (-len(word), word)))
