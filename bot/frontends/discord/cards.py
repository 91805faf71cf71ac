"""What a message looks like: one container with a title line, facts, a picture or clip, and buttons."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import discord
from discord import ui

from bot.frontends.discord.buttons import rows
from bot.pipeline.delivery import Button
from generation.progress import Progress

GOLD, GREY, RED = 0xE2B04A, 0x6B7280, 0xC0392B
BAR = 14
TEXT_LIMIT = 3800
"""Discord takes 4000 characters on one card, all its texts together."""
PLAIN_LIMIT = 2000


MARKUP = re.compile(r"[\\*_~`|<\[]|(?<=\w):(?=//)")
AT_LINE_START = re.compile(r"^(\s*)(#{1,3}(?=\s)|-#|[-+>]|\d+(?=[.)]\s))", re.MULTILINE)
MENTION = re.compile(r"@(?=everyone|here|[!&]?\d)")
UNSEEN = "\u200b"


def tame(text: str) -> str:
    """A sentence as Discord shows it letter by letter: no markup, link, mention, timestamp or emoji in it."""
    plain = MARKUP.sub(r"\\\g<0>", text)
    plain = AT_LINE_START.sub(_not_at_line_start, plain)
    return MENTION.sub("@" + UNSEEN, plain)


def _not_at_line_start(found: re.Match[str]) -> str:
    space, mark = found.groups()
    return f"{space}{UNSEEN}{mark}" if mark.isdecimal() else f"{space}\\{mark}"


def small(text: str) -> str:
    return "\n".join(f"-# {line}" for line in tame(text).splitlines() if line)


def bar(progress: Progress) -> str:
    full = round(BAR * min(1.0, progress.share))
    return "▰" * full + "▱" * (BAR - full)


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """`title` and `facts` are plain sentences; `body` is Discord markup that its maker has tamed."""

    title: str = ""
    body: str = ""
    facts: str = ""
    buttons: tuple[Button, ...] = ()
    genres: Sequence[discord.SelectOption] = ()
    media: str | None = None  # the name of an attached file
    spoiler: bool = False
    colour: int = GREY
    mention: str | None = None  # the id of the one person who is pinged

    def layout(self) -> ui.LayoutView:
        view = ui.LayoutView(timeout=None)
        if self.mention:
            view.add_item(ui.TextDisplay(f"<@{self.mention}>"))
        children: list[ui.Item[Any]] = [ui.TextDisplay(text) for text in self._above()]
        if self.media:
            item = discord.MediaGalleryItem(f"attachment://{self.media}", spoiler=self.spoiler)
            children.append(ui.MediaGallery(item))
        if self.facts:
            children.append(ui.TextDisplay(small(self.facts)[:1000]))
        children += rows(self.buttons, self.genres)
        view.add_item(ui.Container(*children, accent_colour=self.colour))
        return view

    def _above(self) -> Iterable[str]:
        room = TEXT_LIMIT - min(len(self.facts), 1000)
        if self.title:
            yield f"**{tame(self.title)}**"[:room]
        if self.body:
            yield _whole_lines(self.body, room - len(self.title))

    def plain(self) -> tuple[str, ui.View | None]:
        """The same as ordinary content and rows, for where a card is refused."""
        mention = f"<@{self.mention}>" if self.mention else ""
        parts = (mention, f"**{tame(self.title)}**" if self.title else "", self.body, small(self.facts))
        view = ui.View(timeout=None)
        for number, row in enumerate(rows(self.buttons, self.genres)):
            for item in row.children:
                item.row = number
                view.add_item(item)
        return _whole_lines("\n".join(filter(None, parts)), PLAIN_LIMIT), view if view.children else None


def _whole_lines(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    cut = text[: limit - 2]
    return cut[: cut.rfind("\n") if "\n" in cut else None] + "\n…"
