"""Refuse what the real Bot API refuses, with its texts: entities, keyboards, lengths, sizes, rates."""

from __future__ import annotations

import html
import re
import time
from dataclasses import dataclass, field
from typing import Any

TEXT_LIMIT = 4096
CAPTION_LIMIT = 1024
CALLBACK_LIMIT = 64
PHOTO_LIMIT = 10 * 2**20
FILE_LIMIT = 50 * 2**20
THUMBNAIL_LIMIT = 200_000
TAGS = {"b", "strong", "i", "em", "u", "ins", "s", "strike", "del", "span", "tg-spoiler", "a", "tg-emoji"}
TAGS |= {"code", "pre", "blockquote"}
ENTITY_TYPES = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "u": "underline",
    "ins": "underline",
}
ENTITY_TYPES |= {
    "s": "strikethrough",
    "strike": "strikethrough",
    "del": "strikethrough",
    "code": "code",
    "pre": "pre",
}
ENTITY_TYPES |= {"span": "spoiler", "tg-spoiler": "spoiler", "a": "text_link", "blockquote": "blockquote"}
TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9-]*)((?:\s[^<>]*)?)>")
AUTO_LINKED = {
    "mention": re.compile(r"(?<!\w)@\w{3,32}"),
    "url": re.compile(r"(?:https?://\S+|(?<![\w.])[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|me|io)\b\S*)"),
    "bot_command": re.compile(r"(?<![\w/])/[a-zA-Z]\w*"),
}
HTML_ENTITY = re.compile(r"&(?:lt|gt|amp|quot|#\d+|#x[0-9a-fA-F]+);")


class ApiError(Exception):
    """An answer that is not ok."""

    def __init__(self, code: int, description: str, **parameters: int) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.parameters = parameters


def bad_request(description: str) -> ApiError:
    return ApiError(400, f"Bad Request: {description}")


def utf16_length(text: str) -> int:
    """The length of `text` in UTF-16 code units, which Telegram counts in."""
    return len(text.encode("utf-16-le")) // 2


def parse_html(source: str) -> tuple[str, list[dict[str, Any]]]:
    """Return the text without tags, and their entities. Raises ApiError with the real server's text."""
    text, entities, open_tags, at = "", [], list[tuple[str, str, int]](), 0
    while at < len(source):
        if source[at] != "<":
            end = source.find("<", at)
            end = len(source) if end < 0 else end
            text += HTML_ENTITY.sub(lambda found: html.unescape(found[0]), source[at:end])
            at = end
            continue
        offset = len(source[:at].encode())
        tag = TAG.match(source, at)
        if tag is None:
            raise bad_request(f"can't parse entities: Unclosed start tag at byte offset {offset}")
        name = tag[2].lower()
        if name not in TAGS:
            raise bad_request(
                f'can\'t parse entities: Unsupported start tag "{name}" at byte offset {offset}'
            )
        if not tag[1]:
            open_tags.append((name, tag[3], utf16_length(text)))
        elif not open_tags:
            raise bad_request(f"can't parse entities: Unexpected end tag at byte offset {offset}")
        elif open_tags[-1][0] != name:
            expected = f'expected "</{open_tags[-1][0]}>"'
            raise bad_request(f"can't parse entities: Unmatched end tag at byte offset {offset}, {expected}")
        else:
            opened, attributes, start = open_tags.pop()
            entities += _tag_entities(opened, attributes, start, utf16_length(text) - start)
        at = tag.end()
    if open_tags:
        raise bad_request(
            f"can't parse entities: Can't find end tag corresponding to start tag \"{open_tags[-1][0]}\""
        )
    return text, entities


def _tag_entities(tag: str, attributes: str, start: int, length: int) -> list[dict[str, Any]]:
    if length == 0 or tag not in ENTITY_TYPES:
        return []
    link = re.search(r'href="([^"]*)"', attributes)
    extra = {"url": html.unescape(link[1])} if link and tag == "a" else {}
    return [{"type": ENTITY_TYPES[tag], "offset": start, "length": length, **extra}]


def check_text(
    source: str, mode: str | None, *, limit: int, given_entities: list[dict[str, Any]] | None = None
) -> tuple[str, list[dict[str, Any]]]:
    if mode not in {None, "HTML"}:
        raise bad_request("unsupported parse_mode")
    text, entities = parse_html(source) if mode == "HTML" else (source, given_entities or [])
    text = text.rstrip() if given_entities else text.strip()
    entities = entities + [found for found in _auto_entities(text) if not _is_inside_code(found, entities)]
    if limit == TEXT_LIMIT and not text:
        raise bad_request("message text is empty")
    if utf16_length(text) > limit:
        raise bad_request("message is too long" if limit == TEXT_LIMIT else "message caption is too long")
    return text, entities


def _auto_entities(text: str) -> list[dict[str, Any]]:
    """The entities that a chat adds on its own: mentions, links and commands."""
    return [
        {"type": kind, "offset": utf16_length(text[: mark.start()]), "length": utf16_length(mark[0])}
        for kind, pattern in AUTO_LINKED.items()
        for mark in pattern.finditer(text)
    ]


def _is_inside_code(found: dict[str, Any], entities: list[dict[str, Any]]) -> bool:
    """Whether an entity lies inside code, where Telegram adds no links."""
    return any(
        code["type"] in {"code", "pre"}
        and code["offset"] <= found["offset"] < code["offset"] + code["length"]
        for code in entities
    )


def check_keyboard(markup: object) -> dict[str, Any] | None:
    if not isinstance(markup, dict):
        return None
    for row in markup.get("inline_keyboard", []):
        for button in row:
            _check_button(button)
    return markup


def _check_button(button: dict[str, Any]) -> None:
    if not button.get("text"):
        raise bad_request('Can\'t parse inline keyboard button: Field "text" must be of type String')
    if len(set(button) - {"text", "style", "icon_custom_emoji_id"}) != 1:
        raise bad_request(
            "Can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard"
        )
    if not 1 <= len(button.get("callback_data", "x").encode()) <= CALLBACK_LIMIT:
        raise bad_request("BUTTON_DATA_INVALID")


def check_upload(kind: str, size: int, *, limit: int) -> None:
    if size == 0:
        raise bad_request("file must be non-empty")
    if size > limit:
        raise ApiError(413, "Request Entity Too Large")
    if kind == "photo" and size > PHOTO_LIMIT:
        raise bad_request(
            f"file of size {size} bytes is too big for a photo; the maximum size is {PHOTO_LIMIT} bytes"
        )
    if kind == "thumbnail" and size > THUMBNAIL_LIMIT:
        raise bad_request("thumbnail is too big")


@dataclass
class FloodControl:
    """One chat's limit: `burst` messages at once, then one every `seconds_per_message` seconds."""

    burst: int
    seconds_per_message: float
    spent: float = 0.0
    updated_at: float = field(default_factory=time.monotonic)
    blocked_until: float = 0.0

    def count_message(self) -> None:
        now = time.monotonic()
        self.spent = max(0.0, self.spent - (now - self.updated_at) / self.seconds_per_message)
        self.updated_at = now
        if now < self.blocked_until:
            self.blocked_until += 1  # a call during the block extends it
        elif self.spent + 1 > self.burst:
            self.blocked_until = now + max(1.0, self.seconds_per_message)
        else:
            self.spent += 1
            return
        wait = max(1, round(self.blocked_until - now))
        raise ApiError(429, f"Too Many Requests: retry after {wait}", retry_after=wait)
