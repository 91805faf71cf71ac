"""Converts one value from TOML, the environment or a flag to the type of its setting."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_args
from zoneinfo import ZoneInfo

import msgspec
from msgspec import inspect as types

from bot.domain.errors import ConfigBroken
from bot.domain.setting_types import Secret, Section, Texts

BOOLEAN_WORDS = {"yes": "true", "on": "true", "no": "false", "off": "false"}
"""Words that msgspec does not know as booleans."""
S = TypeVar("S", bound=Section)


def closest(word: str, words: Iterable[str]) -> str | None:
    """The one of `words` that was probably meant."""
    return next(iter(get_close_matches(word, list(words), n=1, cutoff=0.5)), None)


@cache
def field_types(section: type[Section]) -> Mapping[str, types.Type]:
    struct = types.type_info(section)
    assert isinstance(struct, types.StructType)
    return {field.name: field.type for field in struct.fields}


@cache
def _annotations(section: type[Section]) -> Mapping[str, Any]:
    return {field.name: field.type for field in msgspec.structs.fields(section)}


class SettingValue(NamedTuple):
    """A value as it was found, and where."""

    value: Any
    place: str
    is_plain_text: bool = False
    """True for the environment and for flags, where a list is written with commas."""


def build_section(section: type[S], values: Mapping[str, SettingValue]) -> S:
    """Raises ConfigBroken, which names the place; the text of a secret never gets into its sentence."""
    return section(**{name: _convert(section, name, found) for name, found in values.items()})


def build_table(section: type[S], table: Any, place: str) -> S:
    """The same for a table of the operator's file, such as [tiers.patron]."""
    if not isinstance(table, dict):
        raise ConfigBroken(place, "should be a table")
    for name in table:
        if name not in field_types(section):
            raise ConfigBroken(f"{place} {name}", "unknown key", closest(name, field_types(section)))
    return build_section(
        section, {name: SettingValue(value, f"{place} {name}") for name, value in table.items()}
    )


def _convert(section: type[Section], name: str, found: SettingValue) -> Any:
    info, value, place = field_types(section)[name], found.value, found.place
    if isinstance(info, types.VarTupleType) and isinstance(value, str):
        parts = [part.strip() for part in value.split(",") if part.strip()]
        if not found.is_plain_text:
            raise ConfigBroken(place, f"should be a list: {_toml_list(parts, info.item_type)}")
        value = parts
    if isinstance(info, types.BoolType) and isinstance(value, str):
        value = BOOLEAN_WORDS.get(value.lower(), value)
    if isinstance(info, types.IntType | types.FloatType | types.BoolType) and isinstance(value, str):
        value = value.strip()

    def build(kind: type, text: Any) -> Any:
        if not isinstance(text, str):
            raise ConfigBroken(place, "should be text in quotes")
        return BUILDERS[kind](text, place)

    annotation = _annotations(section)[name]
    try:
        converted = msgspec.convert(value, annotation, strict=False, dec_hook=build)
    except (msgspec.ValidationError, UnicodeError):  # a flag or variable may hold bytes that are no text
        raise ConfigBroken(place, *_problem(info, annotation, value)) from None
    return tuple(filter(None, map(str.strip, converted))) if annotation == Texts else converted


def _path(text: str, place: str) -> Path:
    try:
        text.encode()
        return Path(text).expanduser()
    except UnicodeError:
        raise ConfigBroken(place, "is not UTF-8 text, and jobs could not be saved with it") from None
    except RuntimeError:
        raise ConfigBroken(place, "there is no such user") from None


def _time_zone(text: str, place: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise ConfigBroken(place, f"{text!r} is no time zone; an example is Europe/Berlin") from None


BUILDERS: Mapping[type, Callable[[str, str], Any]] = {
    Secret: lambda text, _: Secret(text),
    Path: _path,
    ZoneInfo: _time_zone,
}
"""How a type that msgspec does not know is built from the text and the place of a setting."""


def _problem(info: types.Type, annotation: Any, value: Any) -> tuple[str, str | None]:
    """What is wrong with a value that did not convert, and what was probably meant."""
    if isinstance(info, types.UnionType):
        info = info.types[0]
    if isinstance(info, types.BoolType):
        return "should be true or false", None
    if isinstance(info, types.IntType | types.FloatType):
        return _number_problem(info, value), None
    if isinstance(info, types.LiteralType) and isinstance(value, str):
        choices = get_args(annotation)  # in the order in which they were written
        return f"should be one of {', '.join(choices)}", closest(value, choices)
    if isinstance(info, types.VarTupleType):
        numbers = isinstance(info.item_type, types.IntType)
        return f"should be a list of {'numbers' if numbers else 'texts in quotes'}", None
    return "should be text in quotes", None


def _number_problem(info: types.IntType | types.FloatType, value: Any) -> str:
    whole = isinstance(info, types.IntType)
    try:
        number = msgspec.convert(value, int if whole else float, strict=False)
    except (msgspec.ValidationError, UnicodeError):
        return "should be a whole number" if whole and not isinstance(value, bool) else "should be a number"
    if info.le is not None and number > info.le:
        return f"should be at most {info.le:.15g}"
    return f"should be at least {info.ge or 0:g}"


def _toml_list(parts: list[str], item: types.Type) -> str:
    numbers = isinstance(item, types.IntType)
    return f"[{', '.join(part if numbers else json.dumps(part, ensure_ascii=False) for part in parts)}]"
