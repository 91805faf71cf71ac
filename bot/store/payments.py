"""Payments. Each is a ledger grant whose note names it; a refund adds one more row."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from bot.domain.quota import Allowance
from bot.store import ledger, people
from bot.store.job_rows import first_or_none

PAYMENT_NOTE, REFUND_NOTE = "payment:", "payment-back:"

BY_ACCOUNT = """
SELECT id, account, credits, note FROM ledger
WHERE account = ? AND kind = 'grant' AND substr(note, 1, 8) = 'payment:' ORDER BY id DESC
"""
BY_NOTE = "SELECT id, account, credits, note FROM ledger WHERE kind = 'grant' AND note = ?"
WAS_REFUNDED = "SELECT 1 FROM ledger WHERE kind = 'move' AND note = ?"
INSERT_REFUND = """
INSERT INTO ledger (at, counted_at, account, kind, purse, credits, note)
VALUES (:now, :now, :account, 'move', 'granted', :credits, :note)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """`name` is the platform's identifier; `fully_refundable` means that none of its credits are spent."""

    id: int
    name: str
    credits: int
    payers: tuple[str, ...]  # the keys of the users who share the account
    fully_refundable: bool


def payments_of(c: sqlite3.Connection, key: str) -> list[Payment]:
    """The user's payments that were not refunded, newest first."""
    account = people.find_account(c, key)
    rows = c.execute(BY_ACCOUNT, (account,)).fetchall() if account else []
    return [payment for row in rows if (payment := _payment(c, row)) is not None]


def find_payment(c: sqlite3.Connection, name: str) -> Payment | None:
    row = first_or_none(c.execute(BY_NOTE, (PAYMENT_NOTE + name,)).fetchall())
    return _payment(c, row) if row else None


def reverse_purchase(c: sqlite3.Connection, name: str, now: float) -> int | None:
    """Take back what is left of the credits of a refunded payment.

    Returns how many; None if the payment is unknown or was reversed before.
    """
    row = first_or_none(c.execute(BY_NOTE, (PAYMENT_NOTE + name,)).fetchall())
    if row is None or c.execute(WAS_REFUNDED, (REFUND_NOTE + name,)).fetchone():
        return None
    taken: int = min(row["credits"], _granted(c, row["account"], now))
    c.execute(
        INSERT_REFUND, {"now": now, "account": row["account"], "credits": -taken, "note": REFUND_NOTE + name}
    )
    return taken


def _payment(c: sqlite3.Connection, row: sqlite3.Row) -> Payment | None:
    name = row["note"].removeprefix(PAYMENT_NOTE)
    if c.execute(WAS_REFUNDED, (REFUND_NOTE + name,)).fetchone():
        return None
    keys = c.execute("SELECT key FROM person WHERE account = ? ORDER BY created_at", (row["account"],))
    return Payment(
        id=row["id"],
        name=name,
        credits=row["credits"],
        payers=tuple(key for (key,) in keys),
        fully_refundable=_granted(c, row["account"], 0.0) >= row["credits"],
    )


def _granted(c: sqlite3.Connection, account: int, now: float) -> int:
    return ledger.balance(c, account, Allowance(credits=0), now).granted
