"""What an admin verb is made of: what it may touch, what it is given, what it answers."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.domain.errors import NoSuchPerson
from bot.domain.jobs import Requester
from bot.domain.quota import Plan
from bot.i18n import messages
from bot.store import people
from generation.errors import UnknownChoice
from generation.request import near

MOST_CREDITS = 1_000_000
PLATFORMS = ("discord", "telegram", "cli", "web")
DIGITS = re.compile(r"[0-9]{1,18}")  # what int() takes besides, like ١٢ or 1_000, is nobody's meaning here
SPAN = re.compile(r"[0-9]|forever$|-")
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
DAYS = {"today": 1, "week": 7}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of it: `key` names the sentence, `lines` are sentences below it.

    A fact that is said differently in each language is a function of the language.
    """

    key: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    lines: tuple[Answer, ...] = ()
    ended: tuple[int, ...] = ()  # jobs whose engine and person must be told

    def said(self, language: str = "en") -> str:
        told = {name: fact(language) if callable(fact) else fact for name, fact in self.facts.items()}
        own = messages.words(f"admin.{self.key}", language, **told)
        return "\n".join([own, *(line.said(language) for line in self.lines)])


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything a verb may touch, within one transaction."""

    c: sqlite3.Connection
    now: float
    admin: Requester
    plan: Plan
    models: tuple[str, ...]

    def account(self, key: str) -> int:
        found = people.find(self.c, key)
        if found is None:
            raise NoSuchPerson(key)
        return found


@dataclass(frozen=True, slots=True)
class Param:
    name: str
    read: Callable[[str, Desk], Any]
    optional: bool = False
    rest: bool = False  # takes all words that are left
    skipped_by: re.Pattern[str] | None = None  # left out where the next word does not begin so

    @property
    def shown(self) -> str:
        return f"[{self.name}]" if self.optional else f"<{self.name}>"


@dataclass(frozen=True, slots=True)
class Verb:
    name: str
    act: Callable[..., Answer]
    params: tuple[Param, ...] = ()
    looks: bool = False  # changes nothing, so it leaves no audit row

    @property
    def usage(self) -> str:
        return " ".join([self.name, *(param.shown for param in self.params)])


def a_person(text: str, desk: Desk) -> str:
    """A key like discord:42, a mention, or the bare id on the admin's own platform."""
    bare = text.strip("<@!>")
    key = bare if ":" in bare else f"{desk.admin.platform}:{bare}"
    if not re.fullmatch(r"(pool:)?[a-z]+:[\w.\-]{1,64}", key, re.ASCII):
        raise ValueError
    platform = key.removeprefix("pool:").partition(":")[0]
    if platform not in {*PLATFORMS, desk.admin.platform}:
        raise ValueError
    return key


def a_role(text: str, desk: Desk) -> str:
    return a_person(text.strip("<@&>"), desk)


def a_count(text: str, _: Desk) -> int:
    number = _whole(text)
    if number > MOST_CREDITS:
        raise ValueError
    return number


def _whole(text: str) -> int:
    if not DIGITS.fullmatch(text):
        raise ValueError
    return int(text)


def some_credits(text: str, desk: Desk) -> int:
    return a_count(text, desk) or _refuse()


def _refuse() -> int:
    raise ValueError


def a_job(text: str, _: Desk) -> int:
    return _whole(text.removeprefix("#")) or _refuse()


def a_place(text: str, desk: Desk) -> int:
    named = {"front": 0, "first": 0, "end": MOST_CREDITS, "last": MOST_CREDITS}
    return named[text] if text in named else a_count(text, desk)


def a_span(text: str, _: Desk) -> float | None:
    """A length like 30m, 2h or 7d; forever is None."""
    if text in {"forever", "0"}:
        return None
    seconds = _whole(text[:-1]) * UNITS[text[-1:]]
    if not 0 < seconds <= 3650 * 86_400:
        raise ValueError
    return float(seconds)


def a_model(text: str, desk: Desk) -> str:
    if text not in desk.models:
        raise UnknownChoice("model", text, near(text, desk.models), desk.models)
    return text


def a_tier(text: str, desk: Desk) -> str | None:
    names = tuple(tier.name for tier in desk.plan.tiers)
    if text in {"none", "everyone"}:
        return None
    if text not in names:
        raise UnknownChoice("tier", text, near(text, names), names)
    return text


def a_channel(text: str, desk: Desk) -> str:
    return a_person(text.strip("<#>"), desk)


def a_day(text: str, _: Desk) -> str:
    return text if text in DAYS else str(_refuse())


def words(text: str, _: Desk) -> str:
    if not text:
        _refuse()
    return messages.quoted(text, 500)
