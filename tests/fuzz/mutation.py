"""Change real inputs: bytes, texts and JSON. The random generator that is passed decides every change."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

MAX_BYTES = 400_000
INTERESTING_BYTES = (0, 1, 0x0A, 0x20, 0x22, 0x3A, 0x5C, 0x7F, 0x80, 0xC0, 0xED, 0xF4, 0xFE, 0xFF)
NUMBERS: tuple[Any, ...] = (
    0,
    -1,
    1,
    255,
    2**31,
    2**32,
    2**53 + 1,
    2**63,
    -(2**63) - 1,
    10**30,
    10**400,
    0.0,
    -0.0,
    1e-320,
    1e308,
    float("inf"),
    float("-inf"),
    float("nan"),
    True,
)
TEXTS = (
    "",
    " ",
    "\0",
    "\n",
    "\r\n",
    "\x1b[2J",
    "\u202e",
    "\u200b",
    "\ufeff",
    "\ud800",
    "\udfff",
    "\U0010ffff",
    "ﷺ" * 40,
    "ﬃ" * 60,
    "é" * 30,
    "e\u0301" * 200,
    "👨‍👩‍👧‍👦" * 10,
    "a" * 5000,
    "9" * 5000,
    "-1",
    "1e999",
    "nan",
    "inf",
    "0x10",
    "١٢",
    "²",
    "⁷",
    "½",
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "C:\\",
    "%s%n",
    "{0}",
    "{x.__class__}",
    "${HOME}",
    "$(id)",
    "'; DROP TABLE job; --",
    "<b>",
    "@everyone",
    "[x](y)",
    '"',
    "'",
    "“",
    "`",
    "--",
    "—",
    "#",
    ":",
    "::",
    "=",
    "==",
    ">",
    "/",
    "|",
    ",",
    ",,,,",
    "a=b=c",
    "true",
    "null",
    "[]",
    "{}",
    "\\",
    "\\ud800",
)
SIMPLE = ("null", "[]", "{}", '""', "[[]]", '{"": null}')


def mutate_bytes(chance: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 5, 10))):
        at = chance.randrange(len(changed) + 1)
        length = min(chance.choice((1, 1, 2, 4, 8, 32, 256)), len(changed) - at)
        match chance.randrange(9):
            case 0 if length:
                changed[at] ^= 1 << chance.randrange(8)
            case 1:
                changed[at : at + length] = chance.randbytes(length)
            case 2:
                del changed[at : at + length]
            case 3:
                changed[at:at] = changed[at : at + length] * chance.choice((1, 2, 20))
            case 4 if length >= 4:
                value = chance.choice((0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**16, len(data)))
                changed[at : at + 4] = value.to_bytes(4, chance.choice(("big", "little")))
            case 5:
                del changed[at:]
            case 6 if others:
                other = chance.choice(others)
                start = chance.randrange(len(other) + 1)
                changed[at : at + length] = other[start : start + chance.choice((4, 16, 64, 1024))]
            case 7 if length:
                changed[at] = chance.choice(INTERESTING_BYTES)
            case _:
                changed[at:at] = bytes((chance.choice(INTERESTING_BYTES),)) * chance.choice((1, 2, 100))
    return bytes(changed[:MAX_BYTES])


def mutate_text(chance: random.Random, text: str, others: Sequence[str]) -> str:
    for _ in range(chance.choice((1, 1, 2, 3, 6))):
        at = chance.randrange(len(text) + 1)
        end = min(len(text), at + chance.choice((0, 1, 2, 5, 20)))
        match chance.randrange(7):
            case 0:
                text = text[:at] + chance.choice(TEXTS) + text[end:]
            case 1:
                text = text[:at] + text[end:]
            case 2:
                text = text[:at] + text[at:end] * chance.choice((2, 3, 50)) + text[end:]
            case 3:
                text = text[:at] + random_character(chance) + text[end:]
            case 4 if others:
                words = chance.choice(others).split(" ")
                text = f"{text[:at]} {chance.choice(words)} {text[end:]}"
            case 5:
                text = text[:at] + str(chance.choice(NUMBERS[:9])) + text[end:]
            case _:
                words = text.split(" ")
                chance.shuffle(words)
                text = " ".join(words)
    return text[:MAX_BYTES]


def random_character(chance: random.Random) -> str:
    top = chance.choice((0x7F, 0xFF, 0x3000, 0xFFFF, 0x10FFFF))
    return chr(chance.randrange(top + 1))


def mutate_json(chance: random.Random, value: Any) -> Any:
    """A copy of the value with some parts replaced, removed or repeated."""
    value = json.loads(json.dumps(value))
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        value = _change_one(chance, value)
    return value


def _change_one(chance: random.Random, value: Any) -> Any:
    """Replace the value, or change something inside it."""
    if not (isinstance(value, dict | list) and value) or chance.random() < 0.1:
        return _other_value(chance, value)
    key: Any = chance.choice(list(value)) if isinstance(value, dict) else chance.randrange(len(value))
    match chance.randrange(10):
        case 0:
            del value[key]
        case 1 if isinstance(value, list):
            value.extend([value[key]] * chance.choice((1, 100)))
        case 1 if isinstance(value, dict):
            value[chance.choice(TEXTS)] = value[key]
        case _:
            value[key] = _change_one(chance, value[key])
    return value


def _other_value(chance: random.Random, value: Any) -> Any:  # noqa: PLR0911  (one for each kind of change)
    match chance.randrange(6):
        case 0:
            return json.loads(chance.choice(SIMPLE))
        case 1:
            return chance.choice(NUMBERS)
        case 2:
            return chance.choice(TEXTS)
        case 3 if isinstance(value, int | float):
            return value + chance.choice((-1, 1, 1000))
        case 4 if isinstance(value, str):
            return mutate_text(chance, value, ())
        case 5:
            return [value]
        case _:
            return chance.choice(NUMBERS) if isinstance(value, int | float) else chance.choice(TEXTS)
