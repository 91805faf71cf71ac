"""A small linear classifier of prompts: hashed letter and word n-grams, eight-bit weights, numpy only.

It generalizes the word lists to misspellings, inflections and company that the lists do not foresee.
How it was trained: training/prompt_rules/README.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

MODEL = Path(__file__).parent / "text_classifier.npz"
BITS = 17
BUCKETS = 1 << BITS
MAX_SIZE = 5
"""The letters of the longest n-grams; the shortest have two."""
WORD_SALT, WORD_PAIR_SALT = 101, 102
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
PRIME = np.uint64(1_099_511_628_211)
WINDOW, STEP = 64, 24
"""Letters that are judged together. A long text is judged by its most suspicious window."""
Features = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]


def features_of(text: str) -> Features:
    """The buckets of all n-grams of a normalized text, and the position where each begins."""
    codes = np.frombuffer(f" {text} ".encode("utf-32-le", "replace"), dtype=np.uint32).astype(np.uint64)
    hashes, salts, positions = [], [], []
    ngrams = codes
    for size in range(2, min(MAX_SIZE, len(codes)) + 1):
        ngrams = ngrams[:-1] * PRIME + codes[size - 1 :]
        hashes.append(ngrams)
        salts.append(size)
        positions.append(np.arange(len(ngrams)))
    words = text.split()
    if words:
        word_hashes = np.array([crc32(word.encode("utf-8", "replace")) for word in words], dtype=np.uint64)
        starts = np.cumsum([0, *(len(word) + 1 for word in words[:-1])])
        hashes += [word_hashes, word_hashes[:-1] * PRIME + word_hashes[1:]]
        salts += [WORD_SALT, WORD_PAIR_SALT]
        positions += [starts, starts[:-1]]
    salted = np.concatenate(hashes) + np.repeat(np.array(salts, np.uint64), [len(one) for one in hashes])
    return _bucket(salted), np.concatenate(positions)


def _bucket(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    mixed = hashes * MULTIPLIER
    return ((mixed ^ (mixed >> np.uint64(29))) * MULTIPLIER >> np.uint64(64 - BITS)).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From which score on a class refuses alone, confirms an uncertain match, and overrules the lists."""

    alone: float
    confirms: float
    overrules: float


class TextClassifier:
    def __init__(
        self,
        weights: npt.NDArray[np.int8],
        scales: npt.NDArray[np.float32],
        bias: npt.NDArray[np.float32],
        thresholds: Mapping[str, Thresholds],
    ) -> None:
        """`weights` has a row a bucket and a column a class, in the order of `thresholds`."""
        self._weights, self._scales, self._bias = weights, scales, bias
        self.thresholds = thresholds

    @classmethod
    def load(cls, path: Path) -> TextClassifier:
        with np.load(path, allow_pickle=False) as stored:
            facts: dict[str, Any] = json.loads(str(stored["thresholds"]))
            thresholds = {name: Thresholds(**values) for name, values in facts.items()}
            return cls(stored["weights"], stored["scales"], stored["bias"], thresholds)

    def scores(self, text: str) -> dict[str, float]:
        """The probability of each class for the most suspicious window of a normalized text."""
        buckets, positions = features_of(text)
        rows = self._weights[buckets].astype(np.float32)
        starts = range(0, max(1, len(text) - STEP), STEP)
        logits = np.full(len(self._bias), -np.inf, np.float32)
        for start in starts:
            inside = (
                (positions >= start) & (positions < start + WINDOW) if len(text) > WINDOW else slice(None)
            )
            window = rows[inside]
            logit = window.sum(axis=0) * self._scales / np.sqrt(max(1, len(window))) + self._bias
            logits = np.maximum(logits, logit)
            if len(text) <= WINDOW:
                break
        return dict(zip(self.thresholds, (1 / (1 + np.exp(-logits))).tolist(), strict=True))

    def is_broken(self, label: str, score: float) -> bool:
        return label in self.thresholds and score >= self.thresholds[label].alone

    def is_suspicious(self, label: str, score: float) -> bool:
        return label not in self.thresholds or score >= self.thresholds[label].confirms

    def is_harmless(self, label: str, score: float) -> bool:
        return label in self.thresholds and score < self.thresholds[label].overrules


@cache
def bundled_classifier() -> TextClassifier:
    """The classifier that comes with Matinee; read once, when it is first needed."""
    return TextClassifier.load(MODEL)
