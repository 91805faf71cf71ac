"""Find the words of a prompt that a model with a small vocabulary does not know, to show the user."""

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
"""Kind ("colour"), value ("red"), and the phrases that mean this value."""


def find_unknown_words(preset: Preset, prompt: str) -> UnknownWords | None:
    """What the model does not know of the prompt; None if nothing, or if it has no fixed vocabulary."""
    if not preset.vocabulary:
        return None
    with suppress(ModelMissing):
        return _read_vocabulary(find_folder(preset.name, preset.source) / preset.vocabulary).unknown_words(
            preset.name, prompt
        )
    return None


class Vocabulary:
    def __init__(self, kinds: PhrasesByKind, substitutes: PhrasesByKind, other: Iterable[str]) -> None:
        self._kind_patterns = {kind: _phrase_pattern(_all_phrases(values)) for kind, values in kinds.items()}
        self._substitute_patterns = {
            kind: {value: _phrase_pattern(phrases) for value, phrases in values.items()}
            for kind, values in substitutes.items()
        }
        known = [p for values in kinds.values() for p in _all_phrases(values)]
        self._known_pattern, self._other_pattern = _phrase_pattern(known), _phrase_pattern(other)
        self._known_values = tuple(value for values in kinds.values() for value in values)

    def unknown_words(self, model: str, prompt: str) -> UnknownWords | None:
        prompt_words = PromptWords(prompt)
        substitutes = tuple(self._used_substitutes(prompt_words))
        nothing_known = not substitutes and not prompt_words.find(self._known_pattern)
        prompt_words.mark_known(self._known_pattern)
        prompt_words.mark_known(self._other_pattern)
        replaced = {word for phrase, _ in substitutes for word in phrase.split()}
        left = {_fold(word): word for word in reversed(prompt_words.unmarked())}
        words = tuple(left[word] for word in reversed(left) if word not in replaced)
        if not words and not substitutes:
            return None
        return UnknownWords(
            model=model,
            words=words,
            substitutes=substitutes,
            known=self._known_values,
            nothing_known=nothing_known,
        )

    def _used_substitutes(self, prompt_words: PromptWords) -> Iterable[tuple[str, str]]:
        """Substitutes that the model uses: only if the prompt names no known phrase of the same kind."""
        for kind, values in self._substitute_patterns.items():
            if not prompt_words.find(self._kind_patterns[kind]):
                for value, pattern in values.items():
                    yield from ((phrase, value) for phrase in prompt_words.find(pattern))


class PromptWords:
    """The words of a prompt, and which of them are known."""

    def __init__(self, prompt: str) -> None:
        self._words = [w for w in re.findall(r"[^\W_]+|[^\x00-\x7f]", prompt) if not _is_punctuation(w)]
        self._folded_text = " ".join(_fold(word) for word in self._words)

    def find(self, pattern: re.Pattern[str]) -> list[str]:
        return list(dict.fromkeys(pattern.findall(self._folded_text)))

    def mark_known(self, pattern: re.Pattern[str]) -> None:
        """Overwrite known phrases letter by letter, so that the other words keep their positions."""
        self._folded_text = pattern.sub(lambda found: re.sub(r"\S", "\0", found[0]), self._folded_text)

    def unmarked(self) -> list[str]:
        found = zip(self._words, self._folded_text.split(), strict=True)
        return [word for word, line in found if "\0" not in line]


def _fold(word: str) -> str:
    """Lower case, without accents, as in the tokenizer."""
    bare = (c for c in unicodedata.normalize("NFD", word.lower()) if not unicodedata.combining(c))
    return "".join(bare) or word


def _is_punctuation(word: str) -> bool:
    """Whether all characters are punctuation, spaces or invisible, in any script."""
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
