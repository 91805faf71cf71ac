"""Checks the recorded requests and responses against Discord's OpenAPI description, if available."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from tests.fakes.discord_world import JSON

SPEC_ENV_VARIABLE = "MATINEE_DISCORD_OPENAPI"
ROOT = "urn:discord"


def spec_path() -> Path | None:
    path = os.environ.get(SPEC_ENV_VARIABLE)
    return Path(path) if path and Path(path).is_file() else None


class OpenApiSpec:
    def __init__(self, path: Path) -> None:
        self._document = json.loads(path.read_text())
        resource = Resource.from_contents(self._document, default_specification=DRAFT202012)
        self._registry: Registry[Any] = Registry().with_resource(ROOT, resource)

    @cached_property
    def _paths(self) -> list[tuple[re.Pattern[str], str]]:
        ordered = sorted(self._document["paths"], key=lambda path: path.count("{"))
        return [(re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), path) for path in ordered]

    def violations(self, entry: JSON) -> Iterator[str]:
        """Return the schema violations of one recorded request and of its response."""
        method, _, path = entry["request"].partition(" ")
        short = path.removeprefix("/api/v10")
        found = next((name for pattern, name in self._paths if pattern.fullmatch(short)), None)
        if found is None:
            yield f"no such path: {path}"
            return
        operation = self._document["paths"][found][method.lower()]
        place = f"#/paths/{found.replace('~', '~0').replace('/', '~1')}/{method.lower()}"
        if entry["body"] is not None and "requestBody" in operation:
            schema = f"{place}/requestBody/content/application~1json/schema"
            yield from self._schema_errors(f"{method} {short}", schema, _normalize_request(entry["body"]))
        status = str(entry["status"])
        if status == "200" and "content" in operation["responses"].get(status, {}):
            schema = f"{place}/responses/{status}/content/application~1json/schema"
            yield from self._schema_errors(
                f"response to {method} {short}", schema, _without_components(entry["answer"])
            )

    def _schema_errors(self, name: str, pointer: str, value: Any) -> Iterator[str]:
        quoted = pointer.replace("{", "%7B").replace("}", "%7D")
        validator = Draft202012Validator({"$ref": f"{ROOT}{quoted}"}, registry=self._registry)
        for error in validator.iter_errors(value):
            best = best_match([error])
            yield f"{name}: {list(error.path)} {best.message[:200]} at {list(best.absolute_path)}"


def _normalize_request(body: Any) -> Any:
    """Convert ids to text and drop a null content: discord.py sends them so, and the API accepts it."""
    if isinstance(body, list):
        return [_normalize_request(item) for item in body]
    if not isinstance(body, dict):
        return body
    kept = {key: value for key, value in body.items() if key != "content" or value is not None}
    if "allowed_mentions" in kept:
        kept["allowed_mentions"] = {
            key: [str(number) for number in value] if key in {"users", "roles"} else value
            for key, value in kept["allowed_mentions"].items()
        }
    return {
        key: str(value) if _is_number(key, value) else _normalize_request(value)
        for key, value in kept.items()
    }


def _is_number(key: str, value: Any) -> bool:
    return isinstance(value, int) and (key.endswith("_id") or (key == "id" and value < 10))


def _without_components(answer: Any) -> Any:
    """Drop the components: the real API adds ids and defaults to them, which the client does not need."""
    if isinstance(answer, list):
        return [_without_components(item) for item in answer]
    if not isinstance(answer, dict):
        return answer
    return {k: [] if k == "components" else _without_components(v) for k, v in answer.items()}
