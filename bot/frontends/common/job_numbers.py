"""Job numbers as users write them."""

from __future__ import annotations

MAX_DIGITS = 18
"""What fits into a 64-bit integer of the database; a longer number names no job either way."""


def split_job_number(text: str) -> tuple[int | None, str]:
    """Split "17", "#17" or "#17 a fox" into the number and the words behind it.

    The number is None where the text does not begin with one; then the text is returned as it is.
    """
    first, _, rest = text.strip().partition(" ")
    digits = first.lstrip("#")
    if not (digits.isascii() and digits.isdecimal()):
        return None, text
    return int(digits[:MAX_DIGITS]), rest.strip()
