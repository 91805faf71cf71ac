"""What somebody has really used, also where nothing is counted down."""

from __future__ import annotations

import sqlite3

from bot.domain.quota import Allowance
from bot.store import people

USED_IN_WINDOW = """
SELECT coalesce(-sum(credits), 0) FROM ledger
WHERE account = :account AND kind IN ('reserve', 'refund') AND credits <> 0
  AND counted_at >= :start AND counted_at < :back
"""


def used_in_window(c: sqlite3.Connection, key: str, allowance: Allowance, now: float) -> int:
    """Out of every purse, refunds taken off."""
    account = people.find_account(c, key)
    if account is None:
        return 0
    bounds = dict(zip(("start", "back"), allowance.window(now), strict=True))
    used: int = c.execute(USED_IN_WINDOW, {"account": account, **bounds}).fetchone()[0]
    return used
