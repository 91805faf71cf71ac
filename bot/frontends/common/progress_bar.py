"""A progress bar in text."""

from __future__ import annotations

FULL, EMPTY = "▰", "▱"


def progress_bar(fraction: float, width: int) -> str:
    full = round(width * min(1.0, max(0.0, fraction)))
    return FULL * full + EMPTY * (width - full)
