"""What a request costs and what a user may spend: arithmetic only, without a clock or a database."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """`credits` a window: a calendar day in `zone`, or the last `rolling` seconds if that is set."""

    credits: int
    zone: str = "UTC"
    rolling: float | None = None
    unlimited: bool = False

    def window(self, now: float) -> tuple[float, float]:
        """Return the start of the window, and when credits spent now are available again at the latest."""
        if self.rolling is not None:
            return now - self.rolling, now + self.rolling
        return _day_bounds(self.zone, int(now // QUARTER_HOUR))


QUARTER_HOUR = 900


@lru_cache(maxsize=256)
def _day_bounds(zone: str, quarter_hour: int) -> tuple[float, float]:
    """Start and end of the day of this quarter of an hour: midnight falls on a quarter in every time zone."""
    now = datetime.fromtimestamp(quarter_hour * QUARTER_HOUR, ZoneInfo(zone))
    # the first midnight of the day: there are two if the clocks go back over it, but one window a day
    start = now.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    end = datetime.combine(start.date() + timedelta(days=1), start.time(), start.tzinfo)
    return start.timestamp(), end.timestamp()


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """How many jobs may wait or run at once, and how many one user may submit in a burst; None is no cap."""

    person: int | None = None
    community: int | None = None
    all: int | None = None
    burst: int | None = None
    burst_seconds: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadLimits:
    """How many files one user may attach in a burst, and how many bytes within 24 hours."""

    burst: int | None = 10  # None is no limit
    burst_seconds: float = 60.0
    bytes_per_day: int = 200_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """Other terms for users with one of the roles, in one of the chats, or on the list."""

    name: str
    credits: int | None = None  # None keeps the default
    unlimited: bool = False
    weight: float = 1.0  # twice the weight gets twice the turns
    roles: frozenset[str] = frozenset()
    chats: frozenset[str] = frozenset()  # "telegram:-100123"
    people: frozenset[str] = frozenset()  # "discord:42"
    open: bool = False  # server admins may give it to their roles

    def includes(self, key: str, roles: Iterable[str], chat: str) -> bool:
        return key in self.people or chat in self.chats or not self.roles.isdisjoint(roles)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaPlan:
    """The default allowance and the tiers; the first tier that matches applies."""

    base: Allowance
    tiers: tuple[Tier, ...] = ()
    pools: Mapping[str, int] = field(
        default_factory=dict
    )  # "discord:7" -> credits of the server in each window
    admins_unlimited: bool = True

    def tier(
        self,
        key: str,
        *,
        roles: Iterable[str],
        chat: str,
        assigned: str | None,
        tiers_of_roles: frozenset[str] = frozenset(),
    ) -> Tier:
        """`assigned` was set by an admin for the user and applies first; `tiers_of_roles` for their roles."""
        roles = tuple(roles)
        for tier in self.tiers:
            if tier.name == assigned:
                return tier
        matching = (t for t in self.tiers if t.name in tiers_of_roles or t.includes(key, roles, chat))
        return next(matching, Tier(name="everyone"))

    def allowance(self, tier: Tier, *, admin: bool = False, personal_credits: int | None = None) -> Allowance:
        """`personal_credits` were set by an admin for this user and apply before those of the tier."""
        credit_limit = next((n for n in (personal_credits, tier.credits) if n is not None), self.base.credits)
        unlimited = self.base.unlimited or tier.unlimited or (admin and self.admins_unlimited)
        return replace(self.base, credits=credit_limit, unlimited=unlimited)

    def pool(self, community: str) -> Allowance | None:
        shared = self.pools.get(community)
        return None if shared is None else replace(self.base, credits=shared, unlimited=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """The use of the current window, and `granted` credits, which do not expire."""

    limit: int
    used: int
    granted: int
    back_at: float
    unlimited: bool = False

    @property
    def left(self) -> int:
        return max(0, self.limit - self.used) + self.granted


def price(*, base: float, seconds: float, default_seconds: float, pixels: int, default_pixels: int) -> int:
    """Whole credits, at least one: a clip twice as long or twice as large costs twice as much."""
    return max(1, math.ceil(base * (seconds / default_seconds) * (pixels / default_pixels) - 1e-6))
