"""What a request costs and what a person may spend: arithmetic only, no clock, no database."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """`credits` a window: a calendar day in `zone`, or the last `rolling` seconds if that is set."""

    credits: int
    zone: str = "UTC"
    rolling: float | None = None
    unlimited: bool = False

    def window_start(self, now: float) -> float:
        if self.rolling is not None:
            return now - self.rolling
        return _midnight(now, self.zone).timestamp()

    def back_at(self, now: float) -> float:
        """When spent credits come back, at the latest."""
        if self.rolling is not None:
            return now + self.rolling
        start = _midnight(now, self.zone)
        return datetime.combine(start.date() + timedelta(days=1), start.time(), start.tzinfo).timestamp()


def _midnight(now: float, zone: str) -> datetime:
    return datetime.fromtimestamp(now, ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """How many jobs may wait or run at once, how many one person may ask for in a burst; None is no cap."""

    person: int | None = None
    community: int | None = None
    all: int | None = None
    burst: int | None = None
    burst_seconds: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """`left` of the window's allowance and, apart from it, `granted` credits that no window takes away."""

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
