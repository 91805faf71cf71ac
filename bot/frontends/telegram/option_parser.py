"""Parse a wish as users type it in a chat: `a fox in the snow #lofi 8s 9:16 seed=7 --no-music`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from bot.domain.errors import BadOption
from generation.errors import UnknownChoice
from generation.music.common.music_choice import MOODS, SILENT, TEMPOS, instrument_names
from generation.request import Kind, MusicWish, Wish, closest_match

TOKEN = re.compile(r"""([\w-]+[=:])?(?:"([^"]*)"|“([^”]*)”)|(\S+)""")
FLAG = re.compile(r"(?:--|—|–)([a-zA-Z][\w-]*)(?:=(.*))?", re.DOTALL)  # noqa: RUF001  (phones replace -- by a dash)
PAIR = re.compile(r"([a-zA-Z][\w-]*)=(.+)", re.DOTALL)
COLON_PAIR = re.compile(r"([a-zA-Z]+):(\S+)")
TAG = re.compile(r"#[^\W\d_][\w-]*")
SIZE = re.compile(r"(\d{2,4})[xX×](\d{2,4})")  # noqa: RUF001  (users paste the multiplication sign)
SHAPE = re.compile(r"(\d{1,2})[:xX×/](\d{1,2})")  # noqa: RUF001  (as above)
SHAPES = frozenset({"1:1", "16:9", "9:16", "4:3", "3:4", "21:9", "9:21", "3:2", "2:3", "4:5", "5:4"})
"""Only these pairs of numbers are shapes; others may be a time of day or a score."""
SHAPE_NAMES = {
    "square": "1:1", "portrait": "9:16", "vertical": "9:16", "tall": "9:16",
    "landscape": "16:9", "horizontal": "16:9", "wide": "16:9",
}  # fmt: skip
SECONDS = r"s|secs?|seconds?|sek|sekunden?|segs?|segundos?|secondes?|秒"
MEASURE_PATTERN = re.compile(rf"(\d+(?:[.,]\d+)?)({SECONDS}|fps|bpm)", re.IGNORECASE)
NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
UNIT = re.compile(rf"{SECONDS}|fps|bpm", re.IGNORECASE)
BEFORE_DECADE = re.compile(r"(the|early|late|mid|mid-)", re.IGNORECASE)
NOT_A_LENGTH_AFTER = frozenset("the last first of in within every after before than next all some".split())  # noqa: SIM905  (a list of words)
"""After these words "8 seconds" is part of the prompt."""
TRAILING_PUNCTUATION = ",.;!"
ALIASES = {
    "length": "seconds", "duration": "seconds", "neg": "negative", "no": "negative", "cfg": "guidance",
    "bpm": "tempo", "instrument": "instruments", "music": "genre", "ratio": "aspect", "resolution": "size",
}  # fmt: skip
EXAMPLES = {"seconds": "8", "fps": "24", "seed": "7", "steps": "20", "guidance": "3.5", "size": "704x512"}
SWITCHES = ("no-music",)
SILENCE_WORDS = frozenset({"no-music", "nomusic", "silent", "silence", "mute", "muted", "none"})


@dataclass
class _ParseState:
    """The words of the prompt and the options found so far."""

    prompt_words: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)


def _parse_text(_: str, value: str) -> str:
    return value.strip()


def _parse_word(_: str, value: str) -> str:
    return value.strip().lower()


def _parse_integer(option: str, value: str) -> int:
    if not re.fullmatch(r"\d{1,12}", value.strip()):
        raise BadOption(option, value, EXAMPLES[option])
    return int(value)


def _parse_number(option: str, value: str) -> float:
    text = value.strip().lower().removesuffix("s" if option == "seconds" else "fps").replace(",", ".").strip()
    if not re.fullmatch(r"-?\d{1,9}(\.\d{1,6})?", text):
        raise BadOption(option, value, EXAMPLES[option])
    return float(text)


def _parse_size(option: str, value: str) -> tuple[int, int]:
    found = SIZE.fullmatch(value.strip())
    if found is None:
        raise BadOption(option, value, EXAMPLES[option])
    return int(found[1]), int(found[2])


def _parse_shape(_: str, value: str) -> str:
    word = value.strip().lower()
    found = SHAPE.fullmatch(word)
    return f"{int(found[1])}:{int(found[2])}" if found else SHAPE_NAMES.get(word, word)


def _parse_list(_: str, value: str) -> tuple[str, ...]:
    return tuple(part for part in (piece.strip().lower() for piece in value.split(",")) if part)


PARSERS: dict[str, Callable[[str, str], Any]] = {
    "seconds": _parse_number,
    "fps": _parse_number,
    "guidance": _parse_number,
    "seed": _parse_integer,
    "steps": _parse_integer,
    "size": _parse_size,
    "aspect": _parse_shape,
    "model": _parse_word,
    "style": _parse_word,
    "camera": _parse_word,
    "negative": _parse_text,
    "genre": _parse_word,
    "mood": _parse_word,
    "tempo": _parse_word,
    "instruments": _parse_list,
    "maker": _parse_word,
    "prompt": _parse_text,
}


def parse_wish(text: str, *, kind: Kind = Kind.VIDEO, genres: tuple[str, ...] = ()) -> Wish:
    """Parse a prompt with options. Raises BadOption or UnknownChoice, with a suggestion if there is one."""
    draft = _ParseState()
    tokens = list(_tokenize(text))
    while tokens:
        _parse_token(tokens, draft, genres)
    _parse_spelled_out_length(draft)
    return _build_wish(draft, kind)


def _tokenize(text: str) -> Iterator[str]:
    """Split into words. A quoted value stays whole after its `name=`; an apostrophe is not a quote."""
    for found in TOKEN.finditer(text):
        name, straight, curly, word = found.groups()
        if word is None and name:
            yield name.removesuffix(":").removesuffix("=") + "=" + (straight or curly or "")
        else:
            yield word or found[0]


def _parse_token(tokens: list[str], draft: _ParseState, genres: tuple[str, ...]) -> None:
    token = tokens.pop(0)
    stripped = token.rstrip(TRAILING_PUNCTUATION)
    if flag := FLAG.fullmatch(token):
        _parse_flag(flag[1].lower(), flag[2], tokens, draft)
    elif TAG.fullmatch(stripped):
        _parse_tag(stripped[1:].lower(), draft, genres)
    elif (pair := PAIR.fullmatch(token)) and (name := _option_name(pair[1], strict=False)):
        draft.options[name] = PARSERS[name](name, pair[2])
    elif (colon := COLON_PAIR.fullmatch(token)) and colon[1].lower() in PARSERS:
        name = colon[1].lower()
        draft.options[name] = PARSERS[name](name, colon[2])
    elif not _parse_measure(stripped, draft):
        draft.prompt_words.append(token)


def _parse_measure(word: str, draft: _ParseState) -> bool:
    """Store the word as a shape, size, length, frame rate or tempo; False if it is none of them."""
    shape = SHAPE.fullmatch(word)
    if shape and f"{int(shape[1])}:{int(shape[2])}" in SHAPES:
        draft.options["aspect"] = f"{int(shape[1])}:{int(shape[2])}"
    elif size := SIZE.fullmatch(word):
        draft.options["size"] = (int(size[1]), int(size[2]))
    elif (measure := MEASURE_PATTERN.fullmatch(word)) and not _is_decade(draft.prompt_words, measure[2]):
        _set_measure(measure[1], measure[2], draft)
    else:
        return False
    return True


def _parse_spelled_out_length(draft: _ParseState) -> None:
    """Parse a length in two words at the end of the prompt: `a fox, 8 seconds`."""
    if len(draft.prompt_words) < 3 or "seconds" in draft.options:
        return
    number, unit = draft.prompt_words[-2], draft.prompt_words[-1].rstrip(TRAILING_PUNCTUATION)
    before = draft.prompt_words[-3].lower()
    if NUMBER.fullmatch(number) and UNIT.fullmatch(unit) and before not in NOT_A_LENGTH_AFTER:
        _set_measure(number, unit, draft)
        del draft.prompt_words[-3 if before == "for" else -2 :]
        draft.prompt_words[-1] = draft.prompt_words[-1].rstrip(TRAILING_PUNCTUATION)


def _parse_flag(word: str, value: str | None, tokens: list[str], draft: _ParseState) -> None:
    if word in SILENCE_WORDS:
        draft.options["genre"] = SILENT
        return
    name = _option_name(word, strict=True)
    assert name is not None
    if value is None:
        value = tokens.pop(0) if tokens else ""
    draft.options[name] = PARSERS[name](name, value)


def _option_name(word: str, *, strict: bool) -> str | None:
    """The name of an option, with aliases resolved. None if the word may be part of the prompt ("E=mc2")."""
    lower = word.lower()
    known = ALIASES.get(lower, lower)
    if known in PARSERS:
        return known
    suggestion = closest_match(lower, (*PARSERS, *SWITCHES))
    if strict or (suggestion is not None and len(lower) > 2):
        raise UnknownChoice("option", word, suggestion, (*PARSERS, *SWITCHES))
    return None


def _parse_tag(tag: str, draft: _ParseState, genres: tuple[str, ...]) -> None:
    """Parse a hashtag: a genre, else a mood, a tempo, silence or an instrument."""
    wanted = _normalize(tag)
    for name, known in (("genre", genres), ("mood", tuple(MOODS)), ("tempo", tuple(TEMPOS))):
        if (found := _match_name(wanted, known)) is not None:
            draft.options[name] = found
            return
    if wanted in map(_normalize, SILENCE_WORDS) or not genres:
        draft.options["genre"] = SILENT if genres else tag
    elif (instrument := _match_name(wanted, instrument_names())) is not None:
        draft.options["instruments"] = (*draft.options.get("instruments", ()), instrument)
    else:
        raise UnknownChoice("genre", tag, closest_match(tag, genres), genres)


def _match_name(wanted: str, known: tuple[str, ...]) -> str | None:
    return next((name for name in known if _normalize(name) == wanted), None)


def _normalize(word: str) -> str:
    return re.sub(r"[\W_]", "", word)


def _is_decade(words: list[str], unit: str) -> bool:
    """Whether a number of seconds is a decade, as in `a car of the 80s`."""
    return unit == "s" and bool(words) and BEFORE_DECADE.fullmatch(words[-1]) is not None


def _set_measure(value: str, unit: str, draft: _ParseState) -> None:
    name = {"fps": "fps", "bpm": "tempo"}.get(unit.lower(), "seconds")
    number = value.replace(",", ".")
    draft.options[name] = number if name == "tempo" else float(number)


def _build_wish(draft: _ParseState, kind: Kind) -> Wish:
    music_names = {"genre", "mood", "tempo", "instruments", "maker"}
    options = draft.options
    music = MusicWish(**{name: value for name, value in options.items() if name in music_names})
    rest = {name: value for name, value in options.items() if name not in music_names | {"size", "prompt"}}
    width, height = options.get("size", (None, None))
    prompt = " ".join([*draft.prompt_words, options.get("prompt", "")]).strip()
    if options and "prompt" not in options:
        prompt = prompt.rstrip(",; ")  # separators between the prompt and its options
    return Wish(prompt=prompt, kind=kind, width=width, height=height, music=music, **rest)
