"""What a model that knows only some words makes of a prompt: its folder lists them, the person is told."""

from __future__ import annotations

import json
import re
import unicodedata
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING

from generation.errors import ModelMissing
from generation.models.common.weights import find_folder
from generation.request import UnknownWords

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from generation.models.common.preset import Preset

PhrasesByKind = dict[str, dict[str, list[str]]]
"""Kind ("colour"), value ("red"), and the phrases that are read as it."""


def find_unknown_words(preset: Preset, prompt: str) -> UnknownWords | None:
    """What of the prompt the model cannot paint, or None where it reads all of it, or reads everything."""
    if not preset.vocabulary:
        return None
    with suppress(ModelMissing):
        return _read_vocabulary(find_folder(preset.name, preset.source) / preset.vocabulary).unknown_words(
            preset.name, prompt
        )
    return None


class Vocabulary:
    def __init__(self, kinds: PhrasesByKind, stand_ins: PhrasesByKind, other: Iterable[str]) -> None:
        self._kind_patterns = {kind: _phrase_pattern(_all_phrases(values)) for kind, values in kinds.items()}
        self._stand_in_patterns = {
            kind: {value: _phrase_pattern(phrases) for value, phrases in values.items()}
            for kind, values in stand_ins.items()
        }
        known = [p for values in kinds.values() for p in _all_phrases(values)]
        self._known_pattern, self._other_pattern = _phrase_pattern(known), _phrase_pattern(other)
        self._known_values = tuple(value for values in kinds.values() for value in values)

    def unknown_words(self, model: str, prompt: str) -> UnknownWords | None:
        prompt_words = PromptWords(prompt)
        stand_ins = tuple(self._used_stand_ins(prompt_words))
        nothing = not stand_ins and not prompt_words.find(self._known_pattern)
        prompt_words.mark_known(self._known_pattern)
        prompt_words.mark_known(self._other_pattern)
        replaced = {word for phrase, _ in stand_ins for word in phrase.split()}
        left = {_fold(word): word for word in reversed(prompt_words.unmarked())}
        words = tuple(left[word] for word in reversed(left) if word not in replaced)
        if not words and not stand_ins:
            return None
        return UnknownWords(
            model=model, words=words, substitutes=stand_ins, known=self._known_values, nothing_known=nothing
        )

    def _used_stand_ins(self, prompt_words: PromptWords) -> Iterable[tuple[str, str]]:
        """A stand-in comes on only where nothing better of its kind is named."""
        for kind, values in self._stand_in_patterns.items():
            if not prompt_words.find(self._kind_patterns[kind]):
                for value, pattern in values.items():
                    yield from ((phrase, value) for phrase in prompt_words.find(pattern))


class PromptWords:
    """A prompt as words, and which of them are read."""

    def __init__(self, prompt: str) -> None:
        self._words = [w for w in re.findall(r"[^\W_]+|[^\x00-\x7f]", prompt) if not _is_punctuation(w)]
        self._folded_text = " ".join(_fold(word) for word in self._words)

    def find(self, pattern: re.Pattern[str]) -> list[str]:
        return list(dict.fromkeys(pattern.findall(self._folded_text)))

    def mark_known(self, pattern: re.Pattern[str]) -> None:
        """What is read is crossed out, letter for letter, so that the others keep their places."""
        self._folded_text = pattern.sub(lambda found: re.sub(r"\S", "\0", found[0]), self._folded_text)

    def unmarked(self) -> list[str]:
        found = zip(self._words, self._folded_text.split(), strict=True)
        return [word for word, line in found if "\0" not in line]


def _fold(word: str) -> str:
    """Lower case, without accents, as the tokenizer reads it."""
    bare = (c for c in unicodedata.normalize("NFD", word.lower()) if not unicodedata.combining(c))
    return "".join(bare) or word


def _is_punctuation(word: str) -> bool:
    """Punctuation, spaces and invisible signs of any script."""
    return all(unicodedata.category(c)[0] in "PZCM" for c in word)


def _phrase_pattern(phrases: Iterable[str]) -> re.Pattern[str]:
    longest_first = sorted(set(phrases), key=lambda phrase: (-len(phrase), phrase))
    return re.compile(rf"(?<!\S)(?:{'|'.join(map(re.escape, longest_first))})(?!\S)")


def _all_phrases(values: Mapping[str, list[str]]) -> list[str]:
    return [phrase for phrases in values.values() for phrase in phrases]


@lru_cache(maxsize=8)
def _read_vocabulary(file: Path) -> Vocabulary:
    data = json.loads(file.read_text(encoding="utf-8"))
    return Vocabulary(data["kinds"], data["stand_ins"], data["other"])
