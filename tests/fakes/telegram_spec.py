"""Check the bot's calls and the loopback server's answers against Telegram's own API description."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any, cast

SPEC_PATH = Path("shared/specs/telegram-bot-api.json")


@cache
def bot_api_spec() -> dict[str, Any] | None:
    """The Bot API description, or None if it is not installed beside the checkout."""
    configured = os.environ.get("TELEGRAM_BOT_API_SPEC")
    candidates = [folder / SPEC_PATH for folder in Path(__file__).resolve().parents]
    paths = [Path(configured)] if configured else candidates
    found = next((path for path in paths if path.is_file()), None)
    return cast("dict[str, Any]", json.loads(found.read_text("utf-8"))) if found else None


def check_call(method: str, parameters: dict[str, Any], files: set[str]) -> list[str]:
    """The problems of a call, one line each; none if there is no description to check against."""
    spec = bot_api_spec()
    if spec is None:
        return []
    if method not in spec["methods"]:
        return [f"{method}: no such method"]
    given = parameters | dict.fromkeys(files & _field_names(spec["methods"][method]), "attach://")
    return _check_fields(method, spec["methods"][method].get("fields", []), given)


def check_answer(method: str, result: object) -> list[str]:
    spec = bot_api_spec()
    if spec is None:
        return []
    return _check_types(f"{method} ->", spec["methods"][method]["returns"], result)


def check_update(update: dict[str, Any]) -> list[str]:
    return [] if bot_api_spec() is None else _check_types("update", ["Update"], update)


def _field_names(described: dict[str, Any]) -> set[str]:
    return {field["name"] for field in described.get("fields", [])}


def _check_fields(where: str, fields: list[dict[str, Any]], given: dict[str, Any]) -> list[str]:
    known = {field["name"]: field for field in fields}
    problems = [f"{where}.{name}: unknown" for name in given if name not in known]
    for name, field in known.items():
        if name in given:
            problems += _check_types(f"{where}.{name}", field["types"], given[name])
        elif field["required"]:
            problems.append(f"{where}.{name}: missing")
    return problems


def _check_types(where: str, types: list[str], value: object) -> list[str]:
    problem_lists = [_check_type(where, kind, value) for kind in types]
    return min(problem_lists, key=len)


def _check_type(where: str, kind: str, value: object) -> list[str]:
    if kind.startswith("Array of "):
        if not isinstance(value, list):
            return [f"{where}: {value!r} is not an array"]
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
        return [] if plain[kind] else [f"{where}: {value!r} is not of type {kind}"]
    return _check_object(where, kind, value)


def _check_object(where: str, kind: str, value: object) -> list[str]:
    described = cast("dict[str, Any]", bot_api_spec())["types"][kind]
    if described.get("subtypes"):
        return _check_types(where, described["subtypes"], value)
    if not isinstance(value, dict):
        return [f"{where}: {value!r} is not of type {kind}"]
    return _check_fields(where, described.get("fields", []), value)
