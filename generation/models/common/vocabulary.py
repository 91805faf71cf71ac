"""What a model that knows only some words makes of a prompt: its folder lists them, the person is told."""

from __future__ import annotations

import json
import re
import unicodedata
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING

from generation.errors import ModelMissing
from generation.models.common.weights import locate
from generation.request import Unheard

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from generation.models.common.preset import Preset

Words = dict[str, dict[str, list[str]]]
"""Kind ("colour"), value ("red"), and the phrases that are read as it."""


def unheard(preset: Preset, prompt: str) -> Unheard | None:
    """What of the prompt the model cannot paint, or None where it reads all of it, or reads everything."""
    if not preset.vocabulary:
        return None
    with suppress(ModelMissing):
        return _read(locate(preset.name, preset.source) / preset.vocabulary).missing(preset.name, prompt)
    return None


class Vocabulary:
    def __init__(self, kinds: Words, stand_ins: Words, other: Iterable[str]) -> None:
        self._kinds = {kind: _any_of(_phrases(values)) for kind, values in kinds.items()}
        self._stand_ins = {
            kind: {value: _any_of(phrases) for value, phrases in values.items()}
            for kind, values in stand_ins.items()
        }
        known = [p for values in kinds.values() for p in _phrases(values)]
        self._known, self._other = _any_of(known), _any_of(other)
        self._knows = tuple(value for values in kinds.values() for value in values)

    def missing(self, model: str, prompt: str) -> Unheard | None:
        said = Said(prompt)
        stand_ins = tuple(self._played(said))
        nothing = not stand_ins and not said.finds(self._known)
        said.cover(self._known)
        said.cover(self._other)
        played = {word for phrase, _ in stand_ins for word in phrase.split()}
        left = {_folded(word): word for word in reversed(said.left())}
        words = tuple(left[word] for word in reversed(left) if word not in played)
        if not words and not stand_ins:
            return None
        return Unheard(model=model, words=words, stand_ins=stand_ins, knows=self._knows, nothing=nothing)

    def _played(self, said: Said) -> Iterable[tuple[str, str]]:
        """A stand-in comes on only where nothing better of its kind is named."""
        for kind, values in self._stand_ins.items():
            if not said.finds(self._kinds[kind]):
                for value, pattern in values.items():
                    yield from ((phrase, value) for phrase in said.finds(pattern))


class Said:
    """A prompt as words, and which of them are read."""

    def __init__(self, prompt: str) -> None:
        self._words = [w for w in re.findall(r"[^\W_]+|[^\x00-\x7f]", prompt) if not _is_mark(w)]
        self._line = " ".join(_folded(word) for word in self._words)

    def finds(self, pattern: re.Pattern[str]) -> list[str]:
        return list(dict.fromkeys(pattern.findall(self._line)))

    def cover(self, pattern: re.Pattern[str]) -> None:
        """What is read is crossed out, letter for letter, so that the others keep their places."""
        self._line = pattern.sub(lambda found: re.sub(r"\S", "\0", found[0]), self._line)

    def left(self) -> list[str]:
        found = zip(self._words, self._line.split(), strict=True)
        return [word for word, line in found if "\0" not in line]


def _folded(word: str) -> str:
    """Lower case, without accents, as the tokenizer reads it."""
    bare = (c for c in unicodedata.normalize("NFD", word.lower()) if not unicodedata.combining(c))
    return "".join(bare) or word


def _is_mark(word: str) -> bool:
    """Punctuation, spaces and invisible signs of any script."""
    return all(unicodedata.category(c)[0] in "PZCM" for c in word)


def _any_of(phrases: Iterable[str]) -> re.Pattern[str]:
    longest_first = sorted(set(phrases), key=lambda phrase: (-len(phrase), phrase))
    return re.compile(rf"(?<!\S)(?:{'|'.join(map(re.escape, longest_first))})(?!\S)")


def _phrases(values: Mapping[str, list[str]]) -> list[str]:
    return [phrase for phrases in values.values() for phrase in phrases]


@lru_cache(maxsize=8)
def _read(file: Path) -> Vocabulary:
    data = json.loads(file.read_text(encoding="utf-8"))
    return Vocabulary(data["kinds"], data["stand_ins"], data["other"])
