"""Holds what the bot sends and what the loopback server answers against Telegram's own description."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any, cast

SPEC_PATH = Path("shared/specs/telegram-bot-api.json")


@cache
def bot_api_spec() -> dict[str, Any] | None:
    """The Bot API as data; None where nobody put it beside the checkout."""
    named = os.environ.get("TELEGRAM_BOT_API_SPEC")
    places = [Path(named)] if named else [folder / SPEC_PATH for folder in Path(__file__).resolve().parents]
    found = next((place for place in places if place.is_file()), None)
    return cast("dict[str, Any]", json.loads(found.read_text("utf-8"))) if found else None


def check_call(method: str, parameters: dict[str, Any], files: set[str]) -> list[str]:
    """What is wrong with this call, one line each; nothing where there is no description."""
    known = bot_api_spec()
    if known is None:
        return []
    if method not in known["methods"]:
        return [f"{method}: no such method"]
    given = parameters | dict.fromkeys(files & _field_names(known["methods"][method]), "attach://")
    return _check_fields(method, known["methods"][method].get("fields", []), given)


def check_answer(method: str, result: object) -> list[str]:
    known = bot_api_spec()
    if known is None:
        return []
    return _check_types(f"{method} ->", known["methods"][method]["returns"], result)


def check_update(update: dict[str, Any]) -> list[str]:
    return [] if bot_api_spec() is None else _check_types("update", ["Update"], update)


def _field_names(described: dict[str, Any]) -> set[str]:
    return {field["name"] for field in described.get("fields", [])}


def _check_fields(where: str, fields: list[dict[str, Any]], given: dict[str, Any]) -> list[str]:
    known = {field["name"]: field for field in fields}
    wrong = [f"{where}.{name}: unknown" for name in given if name not in known]
    for name, field in known.items():
        if name in given:
            wrong += _check_types(f"{where}.{name}", field["types"], given[name])
        elif field["required"]:
            wrong.append(f"{where}.{name}: missing")
    return wrong


def _check_types(where: str, types: list[str], value: object) -> list[str]:
    problem_lists = [_check_type(where, kind, value) for kind in types]
    return min(problem_lists, key=len)


def _check_type(where: str, kind: str, value: object) -> list[str]:
    if kind.startswith("Array of "):
        if not isinstance(value, list):
            return [f"{where}: {value!r} is no array"]
        inner = kind.removeprefix("Array of ")
        return [line for n, item in enumerate(value) for line in _check_type(f"{where}[{n}]", inner, item)]
    plain = {
        "Integer": isinstance(value, int) and not isinstance(value, bool),
        "Float": isinstance(value, int | float) and not isinstance(value, bool),
        "Boolean": isinstance(value, bool),
        "String": isinstance(value, str),
        "InputFile": isinstance(value, str) and value.startswith("attach://"),
    }
    if kind in plain:
        return [] if plain[kind] else [f"{where}: {value!r} is no {kind}"]
    return _check_object(where, kind, value)


def _check_object(where: str, kind: str, value: object) -> list[str]:
    described = cast("dict[str, Any]", bot_api_spec())["types"][kind]
    if described.get("subtypes"):
        return _check_types(where, described["subtypes"], value)
    if not isinstance(value, dict):
        return [f"{where}: {value!r} is no {kind}"]
    return _check_fields(where, described.get("fields", []), value)
