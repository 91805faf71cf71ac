"""What is fuzzed: a parser, real inputs for it, and the errors that count as an answer."""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tests.fuzz.mutation import TEXTS, mutate_bytes, mutate_json, mutate_text, random_character

Call = Callable[[bytes], Awaitable[None] | None]
"""Feeds one input to the parser. What it raises besides `answers` is unhandled."""
Open = Callable[[Path], AbstractAsyncContextManager[Call]]
"""Prepares the parser in an empty folder."""
Shape = Literal["bytes", "text", "json"]


@dataclass(frozen=True, kw_only=True)
class Target:
    name: str
    shape: Shape
    seeds: Callable[[], Sequence[bytes]]
    open: Open
    answers: tuple[type[BaseException], ...] = ()
    covers: tuple[str, ...]
    """The functions that this target reaches, as module:qualified name; see parsers.py."""
    share: float = 1.0
    """How much of the time it gets, compared to the others."""
    seconds: float = 5.0
    """An input that takes longer is a hang."""
    reopen_after: int = 5000
    """Inputs after which it is opened again in an empty folder, so that nothing piles up."""
    megabytes: int = 64
    """How much its process may grow while it runs."""


def make_input(target: Target, seeds: Sequence[bytes], seed: str) -> bytes:
    """The input of this seed: the same for every run, process and machine."""
    chance = random.Random(seed)
    chosen = chance.choice(seeds)
    if chance.random() < 0.02:
        return chosen
    if target.shape == "json":
        if chance.random() < 0.1:
            return mutate_bytes(chance, chosen, seeds)
        return to_json(mutate_json(chance, json.loads(chosen)))
    if target.shape == "text":
        if chance.random() < 0.05:
            size = chance.choice((1, 10, 100))
            return to_bytes("".join(random_character(chance) for _ in range(size)))
        return to_bytes(mutate_text(chance, to_text(chosen), [to_text(one) for one in seeds[:20]]))
    return mutate_bytes(chance, chosen, seeds)


def to_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def to_text(data: bytes) -> str:
    """The text of an input, which may hold lone surrogates; anything else is replaced."""
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace")


def to_json(value: Any) -> bytes:
    return to_bytes(json.dumps(value, ensure_ascii=False))


def from_json(data: bytes) -> Any:
    """The value of an input for a parser behind a JSON library; None if it is no JSON."""
    try:
        return json.loads(to_text(data))
    except (ValueError, RecursionError):
        return None


HOSTILE_TEXTS = tuple(to_bytes(text) for text in TEXTS)
