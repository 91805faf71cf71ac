"""The limits that the real API enforces for messages, modals, choices and commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.fakes.discord_world import COMPONENTS_V2, JSON

ROW, BUTTON, SELECT, TEXT_INPUT = 1, 2, 3, 4
SELECTS = {3, 5, 6, 7, 8}
SECTION, TEXT_DISPLAY, THUMBNAIL, GALLERY, FILE, SEPARATOR, CONTAINER, LABEL, UPLOAD = (
    9,
    10,
    11,
    12,
    13,
    14,
    17,
    18,
    19,
)
TOP_LEVEL = {ROW, SECTION, TEXT_DISPLAY, GALLERY, FILE, SEPARATOR, CONTAINER}
NAME = re.compile(r"^[-_'\w]{1,32}$")


class ApiError(Exception):
    """A 4xx response."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message = status, code, message


def invalid_form_body(message: str) -> ApiError:
    return ApiError(400, 50035, f"Invalid Form Body: {message}")


def require(condition: object, message: str) -> None:
    if not condition:
        raise invalid_form_body(message)


def walk(components: list[JSON]) -> Iterator[JSON]:
    for component in components:
        yield component
        yield from walk(component.get("components", []))
        yield from walk([component[k] for k in ("accessory", "component") if k in component])


def check_message(body: JSON, *, flags: int, filenames: set[str], empty_allowed: bool = False) -> None:
    components = body.get("components") or []
    content = body.get("content") or ""
    require(len(content) <= 2000, "content is longer than 2000")
    require(len(body.get("embeds") or []) <= 10, "more than 10 embeds")
    nonce = body.get("nonce")
    require(nonce is None or len(str(nonce)) <= 25, "nonce is longer than 25")
    if flags & COMPONENTS_V2:
        require(
            not content and not body.get("embeds"), "content and embeds cannot stand beside V2 components"
        )
        _check_v2(components, filenames)
    else:
        for row in components:
            require(row["type"] == ROW, "only rows without the V2 flag")
    has_content = content or body.get("embeds") or components or filenames
    if not (has_content or empty_allowed):
        raise ApiError(400, 50006, "Cannot send an empty message")
    _check_components(components)
    _check_mentions(body.get("allowed_mentions") or {})


def _check_mentions(allowed: JSON) -> None:
    parse = allowed.get("parse", [])
    for kind in ("users", "roles"):
        require(not (kind in parse and allowed.get(kind)), f"parse and {kind} exclude each other")


def _check_v2(components: list[JSON], filenames: set[str]) -> None:
    every = list(walk(components))
    require(1 <= len(every) <= 40, f"{len(every)} components")
    written = sum(len(c["content"]) for c in every if c["type"] == TEXT_DISPLAY)
    require(written <= 4000, f"{written} characters of text")
    for component in components:
        require(component["type"] in TOP_LEVEL, f"{component['type']} cannot stand alone")
    for reference in _files_named(every):
        require(reference in filenames, f"attachment://{reference} is not attached")


def _files_named(components: list[JSON]) -> Iterator[str]:
    for component in components:
        media = [item["media"] for item in component.get("items", [])]
        media += [component[k] for k in ("media", "file") if isinstance(component.get(k), dict)]
        for item in media:
            kind, _, name = item["url"].partition("://")
            if kind == "attachment":
                yield name


def _check_components(components: list[JSON]) -> None:
    custom_ids = [c["custom_id"] for c in walk(components) if "custom_id" in c]
    require(len(custom_ids) == len(set(custom_ids)), f"a custom_id twice in {custom_ids}")
    for component in walk(components):
        check = _CHECKS.get(component["type"])
        if check is not None:
            check(component)
        if "custom_id" in component:
            require(1 <= len(component["custom_id"]) <= 100, "custom_id of 1 to 100 characters")
        require(len(component.get("placeholder") or "") <= 150, "placeholder longer than 150")


def _check_row(row: JSON) -> None:
    kinds = [child["type"] for child in row["components"]]
    if kinds and kinds[0] in SELECTS:
        require(len(kinds) == 1, "a select stands alone in its row")
    else:
        require(1 <= len(kinds) <= 5, f"{len(kinds)} buttons in a row")
        require(set(kinds) == {BUTTON}, "a row holds buttons or one select")


def _check_button(button: JSON) -> None:
    require(button.get("label") or button.get("emoji"), "a button without label or emoji")
    require(len(button.get("label") or "") <= 80, "button label longer than 80")
    require(("url" in button) == (button["style"] == 5), "links have a url, others a custom_id")
    require(
        ("custom_id" in button) == (button["style"] in {1, 2, 3, 4}), "links have a url, others a custom_id"
    )


def _check_select(select: JSON) -> None:
    options = select.get("options", [])
    require(1 <= len(options) <= 25, f"{len(options)} options in a select")
    values = [option["value"] for option in options]
    require(len(values) == len(set(values)), "an option value twice")
    for option in options:
        require(1 <= len(option["label"]) <= 100, "option label of 1 to 100 characters")
        require(1 <= len(option["value"]) <= 100, "option value of 1 to 100 characters")
        require(len(option.get("description") or "") <= 100, "option description longer than 100")
    require(select.get("max_values", 1) <= 25, "max_values")


def _check_gallery(gallery: JSON) -> None:
    require(1 <= len(gallery["items"]) <= 10, "a gallery of 1 to 10 items")
    for item in gallery["items"]:
        require(len(item.get("description") or "") <= 1024, "item description longer than 1024")


def _check_section(section: JSON) -> None:
    require(1 <= len(section["components"]) <= 3, "a section of 1 to 3 texts")
    require(section.get("accessory", {}).get("type") in {BUTTON, THUMBNAIL}, "a section needs its accessory")


def _check_container(container: JSON) -> None:
    require(container["components"], "an empty container")
    for child in container["components"]:
        require(child["type"] in TOP_LEVEL - {CONTAINER}, f"{child['type']} in a container")


def _check_text(text: JSON) -> None:
    require(1 <= len(text["content"]) <= 4000, "a text of 1 to 4000 characters")


def _check_input(field: JSON) -> None:
    require(len(field.get("label") or "") <= 45, "input label longer than 45")
    require(len(field.get("placeholder") or "") <= 100, "input placeholder longer than 100")
    least, most = field.get("min_length") or 0, field.get("max_length") or 4000
    require(0 <= least <= most <= 4000, "input lengths")
    require(len(field.get("value") or "") <= most, "the prefilled value is too long")


_CHECKS = {
    ROW: _check_row,
    BUTTON: _check_button,
    SELECT: _check_select,
    GALLERY: _check_gallery,
    SECTION: _check_section,
    CONTAINER: _check_container,
    TEXT_DISPLAY: _check_text,
    TEXT_INPUT: _check_input,
}


def check_modal(modal: JSON) -> None:
    require(1 <= len(modal["title"]) <= 45, "modal title of 1 to 45 characters")
    require(1 <= len(modal["custom_id"]) <= 100, "modal custom_id of 1 to 100 characters")
    require(1 <= len(modal["components"]) <= 5, "a modal of 1 to 5 components")
    for component in modal["components"]:
        require(component["type"] in {LABEL, TEXT_DISPLAY, ROW}, f"{component['type']} in a modal")
        if component["type"] == LABEL:
            require(1 <= len(component["label"]) <= 45, "label of 1 to 45 characters")
            require(len(component.get("description") or "") <= 100, "label description longer than 100")
    for component in walk(modal["components"]):
        if component["type"] == TEXT_INPUT:
            _check_input(component)
        if component["type"] in SELECTS:
            _check_select(component)


def check_choices(choices: list[JSON]) -> None:
    require(len(choices) <= 25, f"{len(choices)} choices")
    for choice in choices:
        names = [choice["name"], *(choice.get("name_localizations") or {}).values()]
        require(all(1 <= len(name) <= 100 for name in names), f"choice name of 1 to 100: {names}")
        require(len(str(choice["value"])) <= 100, "choice value longer than 100")


def check_commands(commands: list[JSON]) -> None:
    names = [(command.get("type", 1), command["name"]) for command in commands]
    require(len(names) == len(set(names)), "a command twice")
    for kind, most in ((1, 100), (2, 15), (3, 15)):
        require(sum(found == kind for found, _ in names) <= most, f"too many commands of type {kind}")
    for command in commands:
        if command.get("type", 1) == 1:
            require(_command_size(command) <= 8000, f"{command['name']} has more than 8000 characters")
            _check_command(command, depth=0)
        else:
            require(all(1 <= len(name) <= 32 for name in _localized(command, "name")), "menu name of 1 to 32")


def _check_command(part: JSON, *, depth: int) -> None:
    for name in _localized(part, "name"):
        require(NAME.match(name) and name == name.lower(), f"the name {name!r}")
    for text in _localized(part, "description"):
        require(1 <= len(text) <= 100, f"a description of 1 to 100 characters: {text!r}")
    options = part.get("options") or []
    require(len(options) <= 25, f"{len(options)} options")
    for name_of in {code for option in options for code in option.get("name_localizations") or {}} | {None}:
        names = [(o.get("name_localizations") or {}).get(name_of) or o["name"] for o in options]
        require(len(names) == len(set(names)), f"an option name twice ({name_of}): {names}")
    required = [bool(option.get("required")) for option in options]
    require(required == sorted(required, reverse=True), f"required options of {part['name']} come first")
    for option in options:
        require(option["type"] in range(1, 12), f"option type {option['type']}")
        require(option["type"] > 2 or depth < 2, "subcommands nest too deep")
        require(
            not (option.get("choices") and option.get("autocomplete")), "choices or autocomplete, not both"
        )
        check_choices(option.get("choices") or [])
        _check_command(option, depth=depth + 1)


def _localized(part: JSON, key: str) -> list[str]:
    return [part[key], *(part.get(f"{key}_localizations") or {}).values()]


def _command_size(part: JSON) -> int:
    own = sum(max(map(len, _localized(part, key))) for key in ("name", "description") if part.get(key))
    choices = part.get("choices") or []
    chosen = sum(max(map(len, _localized(choice, "name"))) + len(str(choice["value"])) for choice in choices)
    inner: list[Any] = part.get("options") or []
    return own + chosen + sum(map(_command_size, inner))
