"""A day that does not end while a test runs."""

from __future__ import annotations

from datetime import UTC, datetime


def noon_timezone() -> str:
    """A zone of that name; the sign of these is against the custom."""
    return f"Etc/GMT{datetime.now(UTC).hour - 12:+d}"
