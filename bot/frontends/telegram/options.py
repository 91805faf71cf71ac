"""A wish as people write it in a chat: `a fox in the snow #lofi 8s 9:16 seed=7 --no-music`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from bot.errors import BadOption
from generation.errors import UnknownChoice
from generation.request import Kind, MusicWish, Wish, near

TOKEN = re.compile(r"""([\w-]+[=:])?(?:"([^"]*)"|“([^”]*)”)|(\S+)""")
FLAG = re.compile(r"(?:--|—|–)([a-zA-Z][\w-]*)(?:=(.*))?", re.DOTALL)  # noqa: RUF001  (phones turn -- into a dash)
PAIR = re.compile(r"([a-zA-Z][\w-]*)=(.+)", re.DOTALL)
COLON = re.compile(r"([a-zA-Z]+):(\S+)")
SIZE = re.compile(r"(\d{2,4})[xX×](\d{2,4})")  # noqa: RUF001  (people paste the sign)
ASPECT = re.compile(r"\d{1,2}:\d{1,2}")
MEASURE = re.compile(r"(\d+(?:[.,]\d+)?)(s|sec|secs|seconds|fps|bpm)", re.IGNORECASE)
DECADE = re.compile(r"(the|early|late|mid|mid-)", re.IGNORECASE)
ALIASES = {
    "length": "seconds", "duration": "seconds", "neg": "negative", "no": "negative", "cfg": "guidance",
    "bpm": "tempo", "instrument": "instruments", "music": "genre", "ratio": "aspect", "resolution": "size",
}  # fmt: skip
EXAMPLES = {"seconds": "8", "fps": "24", "seed": "7", "steps": "20", "guidance": "3.5", "size": "704x512"}
SWITCHES = ("no-music",)


@dataclass
class _Draft:
    """What was found so far: words of the prompt, and options by name."""

    words: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)


def _text(_: str, value: str) -> str:
    return value.strip()


def _word(_: str, value: str) -> str:
    return value.strip().lower()


def _whole(option: str, value: str) -> int:
    if not re.fullmatch(r"\d{1,12}", value.strip()):
        raise BadOption(option, value, EXAMPLES[option])
    return int(value)


def _number(option: str, value: str) -> float:
    text = value.strip().lower().removesuffix("s" if option == "seconds" else "fps").replace(",", ".").strip()
    if not re.fullmatch(r"-?\d{1,9}(\.\d{1,6})?", text):
        raise BadOption(option, value, EXAMPLES[option])
    return float(text)


def _size(option: str, value: str) -> tuple[int, int]:
    found = SIZE.fullmatch(value.strip())
    if found is None:
        raise BadOption(option, value, EXAMPLES[option])
    return int(found[1]), int(found[2])


def _list(_: str, value: str) -> tuple[str, ...]:
    return tuple(part for part in (piece.strip().lower() for piece in value.split(",")) if part)


READERS: dict[str, Callable[[str, str], Any]] = {
    "seconds": _number, "fps": _number, "guidance": _number, "seed": _whole, "steps": _whole, "size": _size,
    "aspect": _word, "model": _word, "style": _word, "camera": _word, "negative": _text, "genre": _word,
    "mood": _word, "tempo": _word, "instruments": _list, "maker": _word,
}  # fmt: skip


def read(text: str, *, kind: Kind = Kind.VIDEO, genres: tuple[str, ...] = ()) -> Wish:
    """Raises BadOption or UnknownChoice, each with what was likely meant."""
    draft = _Draft()
    tokens = list(_tokens(text))
    while tokens:
        _take(tokens, draft, genres)
    return _wish(draft, kind)


def _tokens(text: str) -> Iterator[str]:
    """Words, with what is in quotes kept whole behind its `name=`; an apostrophe is no quote."""
    for found in TOKEN.finditer(text):
        name, straight, curly, word = found.groups()
        if word is not None:
            yield from _quoted_later(word)
        elif name:
            yield name.removesuffix(":").removesuffix("=") + "=" + (straight or curly or "")
        else:
            yield found[0]


def _quoted_later(word: str) -> Iterator[str]:
    yield word


def _take(tokens: list[str], draft: _Draft, genres: tuple[str, ...]) -> None:
    token = tokens.pop(0)
    if flag := FLAG.fullmatch(token):
        _flag(flag[1].lower(), flag[2], tokens, draft)
    elif token.startswith("#") and len(token) > 1:
        draft.options["genre"] = _genre(token[1:].lower(), genres)
    elif (pair := PAIR.fullmatch(token)) and (name := _name(pair[1], strict=False)):
        draft.options[name] = READERS[name](name, pair[2])
    elif (colon := COLON.fullmatch(token)) and colon[1].lower() in READERS:
        name = colon[1].lower()
        draft.options[name] = READERS[name](name, colon[2])
    elif size := SIZE.fullmatch(token):
        draft.options["size"] = (int(size[1]), int(size[2]))
    elif ASPECT.fullmatch(token):
        draft.options["aspect"] = token
    elif (measure := MEASURE.fullmatch(token)) and not _is_decade(draft.words, measure):
        _measure(measure, draft)
    else:
        draft.words.append(token)


def _flag(word: str, value: str | None, tokens: list[str], draft: _Draft) -> None:
    if word in {"no-music", "nomusic", "silent", "mute"}:
        draft.options["genre"] = "none"
        return
    name = _name(word, strict=True)
    assert name is not None
    if value is None:
        value = tokens.pop(0) if tokens else ""
    draft.options[name] = READERS[name](name, value)


def _name(word: str, *, strict: bool) -> str | None:
    """The option's own name; None where the word is no option and need not be one ("E=mc2")."""
    lower = word.lower()
    known = ALIASES.get(lower, lower)
    if known in READERS:
        return known
    meant = near(lower, (*READERS, *SWITCHES))
    if strict or (meant is not None and len(lower) > 2):
        raise UnknownChoice("option", word, meant, (*READERS, *SWITCHES))
    return None


def _genre(tag: str, genres: tuple[str, ...]) -> str:
    plain = {re.sub(r"[\W_]", "", genre): genre for genre in genres}
    wanted = re.sub(r"[\W_]", "", tag)
    if wanted in plain or not genres:
        return plain.get(wanted, tag)
    raise UnknownChoice("genre", tag, near(tag, genres), genres)


def _is_decade(words: list[str], measure: re.Match[str]) -> bool:
    """`a car of the 80s` is no clip of eighty seconds."""
    return measure[2] == "s" and bool(words) and DECADE.fullmatch(words[-1]) is not None


def _measure(measure: re.Match[str], draft: _Draft) -> None:
    unit = measure[2].lower()
    name = {"fps": "fps", "bpm": "tempo"}.get(unit, "seconds")
    number = measure[1].replace(",", ".")
    draft.options[name] = number if name == "tempo" else float(number)


def _wish(draft: _Draft, kind: Kind) -> Wish:
    music_names = {"genre", "mood", "tempo", "instruments", "maker"}
    options = draft.options
    music = MusicWish(**{name: value for name, value in options.items() if name in music_names})
    rest = {name: value for name, value in options.items() if name not in music_names | {"size"}}
    width, height = options.get("size", (None, None))
    return Wish(prompt=" ".join(draft.words), kind=kind, width=width, height=height, music=music, **rest)
