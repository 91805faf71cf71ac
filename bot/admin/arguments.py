"""Admin verbs: their context, their parameters and how these are parsed, and their results."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.domain.errors import NoSuchPerson
from bot.domain.jobs import Requester
from bot.domain.quota import QuotaPlan
from bot.i18n import messages
from bot.store.store import AdminTransaction
from generation.errors import UnknownChoice
from generation.request import closest_match

CONFIRMATION = "yes"
"""The last word of a line that confirms a verb that cannot be undone."""
MAX_CREDITS = 1_000_000
DIGITS = re.compile(r"[0-9]{1,18}")  # int() also accepts ١٢ and 1_000, which are rejected here
DURATION_START = re.compile(r"[0-9]|forever$|-")
DURATION_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
STATS_PERIODS = {"today": 1, "week": 7}


@dataclass(frozen=True, slots=True)
class AdminResult:
    """The result of a verb: `key` names the message, `lines` are further messages below it.

    A fact whose text depends on the language is a function of the language.
    """

    key: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    lines: tuple[AdminResult, ...] = ()
    ended_jobs: tuple[int, ...] = ()  # their renders must stop and their users be told

    def to_text(self, language: str = "en") -> str:
        formatted = {name: fact(language) if callable(fact) else fact for name, fact in self.facts.items()}
        sentence = messages.translate(f"admin.{self.key}", language, **formatted)
        return "\n".join([sentence, *(line.to_text(language) for line in self.lines)])


@dataclass(frozen=True, slots=True)
class AdminContext:
    """What a verb may use, within one transaction."""

    transaction: AdminTransaction
    admin: Requester
    quota_plan: QuotaPlan
    models: tuple[str, ...]
    platforms: tuple[str, ...]
    """The platforms whose users and chats may be named."""

    def check_known(self, key: str) -> None:
        """Raises NoSuchPerson."""
        if not self.transaction.knows(key):
            raise NoSuchPerson(key)


@dataclass(frozen=True, slots=True)
class VerbParam:
    name: str
    parse: Callable[[str, AdminContext], Any]
    optional: bool = False
    takes_rest: bool = False  # takes all remaining words
    only_if_matches: re.Pattern[str] | None = None  # skipped if the next word does not match

    @property
    def placeholder(self) -> str:
        return f"[{self.name}]" if self.optional else f"<{self.name}>"


@dataclass(frozen=True, slots=True)
class AdminVerb:
    name: str
    handler: Callable[..., AdminResult]
    params: tuple[VerbParam, ...] = ()
    read_only: bool = False  # changes nothing, so it leaves no audit entry
    preview: Callable[..., AdminResult] | None = None
    """For a verb that cannot be undone: says what it would do. It is done if the line ends with "yes"."""

    @property
    def usage(self) -> str:
        confirmation = [] if self.preview is None else [f"[{CONFIRMATION}]"]
        return " ".join([self.name, *(param.placeholder for param in self.params), *confirmation])


def parse_person(text: str, context: AdminContext) -> str:
    """A key like discord:42, a mention, or the bare id on the admin's own platform."""
    identifier = text.strip("<@!>")
    key = identifier if ":" in identifier else f"{context.admin.platform}:{identifier}"
    if not re.fullmatch(r"(pool:)?[a-z]+:[\w.\-]{1,64}", key, re.ASCII):
        raise ValueError
    platform = key.removeprefix("pool:").partition(":")[0]
    if platform not in {*context.platforms, context.admin.platform}:
        raise ValueError
    return key


def parse_role(text: str, context: AdminContext) -> str:
    return parse_person(text.strip("<@&>"), context)


def parse_credits(text: str, _: AdminContext) -> int:
    number = _parse_number(text)
    if number > MAX_CREDITS:
        raise ValueError
    return number


def _parse_number(text: str) -> int:
    if not DIGITS.fullmatch(text):
        raise ValueError
    return int(text)


def parse_positive_credits(text: str, context: AdminContext) -> int:
    return parse_credits(text, context) or _reject()


def _reject() -> int:
    raise ValueError


def parse_job(text: str, _: AdminContext) -> int:
    return _parse_number(text.removeprefix("#")) or _reject()


def parse_queue_position(text: str, context: AdminContext) -> int:
    positions = {"front": 0, "first": 0, "end": MAX_CREDITS, "last": MAX_CREDITS}
    return positions[text] if text in positions else parse_credits(text, context)


def parse_duration(text: str, _: AdminContext) -> float | None:
    """A duration such as 30m, 2h or 7d; None for forever."""
    if text in {"forever", "0"}:
        return None
    seconds = _parse_number(text[:-1]) * DURATION_UNITS[text[-1:]]
    if not 0 < seconds <= 3650 * 86_400:
        raise ValueError
    return float(seconds)


def parse_model(text: str, context: AdminContext) -> str:
    if text not in context.models:
        raise UnknownChoice("model", text, closest_match(text, context.models), context.models)
    return text


def parse_tier(text: str, context: AdminContext) -> str | None:
    names = tuple(tier.name for tier in context.quota_plan.tiers)
    if text in {"none", "everyone"}:
        return None
    if text not in names:
        raise UnknownChoice("tier", text, closest_match(text, names), names)
    return text


def parse_channel(text: str, context: AdminContext) -> str:
    return parse_person(text.strip("<#>"), context)


def parse_stats_period(text: str, _: AdminContext) -> str:
    return text if text in STATS_PERIODS else str(_reject())


def parse_text(text: str, _: AdminContext) -> str:
    if not text:
        _reject()
    return messages.sanitized(text, 500)
