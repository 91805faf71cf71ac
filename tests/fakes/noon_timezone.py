"""A time zone in which it is noon now, so that the day does not change during a test."""

from __future__ import annotations

from datetime import UTC, datetime


def noon_timezone() -> str:
    """Return the name of the zone. POSIX signs are reversed: Etc/GMT+2 is two hours behind UTC."""
    return f"Etc/GMT{datetime.now(UTC).hour - 12:+d}"
