"""The layout of a message: one container with a title, text, facts, a picture or clip, and buttons."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import discord
from discord import ui

from bot.frontends.discord.buttons import action_rows
from bot.pipeline.delivery import Button

GOLD, GREY, RED = 0xE2B04A, 0x6B7280, 0xC0392B
TEXT_LIMIT = 3800
"""Discord accepts 4000 characters in all texts of one message together."""
PLAIN_LIMIT = 2000


MARKUP = re.compile(r"[\\*_~`|<\[]|(?<=\w):(?=//)")
LINE_START_MARKUP = re.compile(r"^(\s*)(#{1,3}(?=\s)|-#|[-+>]|\d+(?=[.)]\s))", re.MULTILINE)
MENTION = re.compile(r"@(?=everyone|here|[!&]?\d)")
ZERO_WIDTH_SPACE = "\u200b"


def escape_markup(text: str) -> str:
    """Escape a text so that Discord shows it literally: no markup, link, mention, timestamp or emoji."""
    plain = MARKUP.sub(r"\\\g<0>", text)
    plain = LINE_START_MARKUP.sub(_escape_line_start, plain)
    return MENTION.sub("@" + ZERO_WIDTH_SPACE, plain)


def _escape_line_start(found: re.Match[str]) -> str:
    space, mark = found.groups()
    return f"{space}{ZERO_WIDTH_SPACE}{mark}" if mark.isdecimal() else f"{space}\\{mark}"


def subtext(text: str) -> str:
    return "\n".join(f"-# {line}" for line in escape_markup(text).splitlines() if line)


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """`title` and `facts` are plain text; `body` is Discord markup that the caller has escaped."""

    title: str = ""
    body: str = ""
    facts: str = ""
    buttons: tuple[Button, ...] = ()
    genres: Sequence[discord.SelectOption] = ()
    media: str | None = None  # the name of an attached file
    spoiler: bool = False
    colour: int = GREY
    mention: str | None = None  # the id of the one user who is pinged

    def layout(self) -> ui.LayoutView:
        view = ui.LayoutView(timeout=None)
        if self.mention:
            view.add_item(ui.TextDisplay(f"<@{self.mention}>"))
        children: list[ui.Item[Any]] = [ui.TextDisplay(text) for text in self._texts_above_media()]
        if self.media:
            item = discord.MediaGalleryItem(f"attachment://{self.media}", spoiler=self.spoiler)
            children.append(ui.MediaGallery(item))
        if self.facts:
            children.append(ui.TextDisplay(subtext(self.facts)[:1000]))
        children += action_rows(self.buttons, self.genres)
        view.add_item(ui.Container(*children, accent_colour=self.colour))
        return view

    def _texts_above_media(self) -> Iterable[str]:
        remaining = TEXT_LIMIT - min(len(self.facts), 1000)
        if self.title:
            yield f"**{escape_markup(self.title)}**"[:remaining]
        if self.body:
            yield _truncate_at_line(self.body, remaining - len(self.title))

    def as_plain_message(self) -> tuple[str, ui.View | None]:
        """Return the same content as text and button rows, for a place that refuses cards."""
        mention = f"<@{self.mention}>" if self.mention else ""
        parts = (
            mention,
            f"**{escape_markup(self.title)}**" if self.title else "",
            self.body,
            subtext(self.facts),
        )
        view = ui.View(timeout=None)
        for number, row in enumerate(action_rows(self.buttons, self.genres)):
            for item in row.children:
                item.row = number
                view.add_item(item)
        return _truncate_at_line("\n".join(filter(None, parts)), PLAIN_LIMIT), view if view.children else None


def _truncate_at_line(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    cut = text[: limit - 2]
    return cut[: cut.rfind("\n") if "\n" in cut else None] + "\n…"
