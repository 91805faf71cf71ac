"""The ledger of credits. Rows are only added, never changed; a balance is a sum of rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from bot.domain.errors import QuotaSpent
from bot.domain.quota import Allowance, Balance
from bot.store import people
from bot.store.connection import SqlExecutor


class PayingAccount(msgspec.Struct, frozen=True):
    """An account and its balance."""

    account: int
    balance: Balance


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    at: float
    kind: str
    purse: str
    credits: int
    job: int | None
    note: str


class Charge(msgspec.Struct, frozen=True):
    """The part of a price that one purse of an account pays."""

    account: int
    purse: str
    credits: int


BALANCE_SUMS = """
SELECT
    (SELECT coalesce(sum(credits), 0) FROM ledger
      WHERE account = ?1 AND purse = 'window' AND credits <> 0
        AND counted_at >= ?2 AND counted_at < ?3) AS window,
    (SELECT coalesce(sum(credits), 0) FROM ledger
      WHERE account = ?1 AND purse = 'granted' AND credits <> 0) AS granted
"""

INSERT_ENTRY = """
INSERT INTO ledger (at, counted_at, account, kind, purse, credits, note)
VALUES (?1, ?1, ?2, ?3, ?4, ?5, ?6)
"""

RESERVE = """
INSERT INTO ledger (at, counted_at, account, kind, purse, credits, job)
VALUES (?1, ?1, ?2, 'reserve', ?3, ?4, ?5)
"""

SETTLE = """
INSERT INTO ledger (at, counted_at, account, kind, purse, credits, job)
VALUES (?2, ?2, (SELECT account FROM job WHERE id = ?1), 'settle', 'free', 0, ?1)
"""
"""One row per job, with zero credits: it records that the reserved credits are spent."""

REFUND = """
INSERT INTO ledger (at, counted_at, account, kind, purse, credits, job)
SELECT ?2, counted_at, account, 'refund', purse, -credits, job
FROM ledger AS reserved WHERE job = ?1 AND kind = 'reserve' AND NOT EXISTS (
    SELECT 1 FROM ledger
    WHERE job = ?1 AND kind = 'refund' AND account = reserved.account AND purse = reserved.purse
)
"""
"""A reservation that was moved to another account is refunded on the first account already."""

MOVED_RESERVATION = """
INSERT INTO ledger (at, counted_at, account, kind, purse, credits, job)
SELECT :now, reserved.counted_at, new.account, new.kind, 'granted', new.credits, :job
FROM ledger AS reserved, (
    SELECT :source AS account, 'refund' AS kind, :credits AS credits
    UNION ALL SELECT :target, 'reserve', -:credits
) AS new
WHERE reserved.job = :job AND reserved.kind = 'reserve' AND reserved.account = :source
    AND reserved.purse = 'granted'
"""
"""Both rows count in the window of the reservation, as a refund does."""


def balance(c: sqlite3.Connection, account: int, allowance: Allowance, now: float) -> Balance:
    start, back_at = allowance.window(now)
    spent, granted = c.execute(BALANCE_SUMS, (account, start, back_at)).fetchone()
    return Balance(
        limit=allowance.credits,
        used=max(0, -spent),
        granted=granted,
        back_at=back_at,
        unlimited=allowance.unlimited,
    )


def balance_of(c: sqlite3.Connection, key: str, allowance: Allowance, now: float) -> Balance:
    """The balance of a user or a pool; of one not seen before, a full one."""
    account = people.find_account(c, key) or 0  # no account has this number
    return balance(c, account, allowance, now)


USED_IN_WINDOW = """
SELECT coalesce(-sum(credits), 0) FROM ledger
WHERE account = :account AND kind IN ('reserve', 'refund') AND credits <> 0
  AND counted_at >= :start AND counted_at < :back
"""


def used_in_window(c: sqlite3.Connection, key: str, allowance: Allowance, now: float) -> int:
    """Credits used in the window from all purses, less refunds; also counted for unlimited users."""
    account = people.find_account(c, key)
    if account is None:
        return 0
    bounds = dict(zip(("start", "back"), allowance.window(now), strict=True))
    used: int = c.execute(USED_IN_WINDOW, {"account": account, **bounds}).fetchone()[0]
    return used


def split_cost(purses: Sequence[PayingAccount], cost: int) -> list[Charge]:
    """Split the cost: over the first account's window, then its grants, then those of the next account.

    Raises QuotaSpent if the accounts do not cover it.
    """
    own = purses[0].balance
    if own.unlimited:
        return [Charge(purses[0].account, "free", cost)]
    if cost <= own.left - own.granted:
        return [Charge(purses[0].account, "window", cost)]
    remaining, parts = cost, list[Charge]()
    for purse in purses:
        for name, left in (
            ("window", purse.balance.left - purse.balance.granted),
            ("granted", purse.balance.granted),
        ):
            part = min(remaining, left)
            if part:
                parts.append(Charge(purse.account, name, part))
                remaining -= part
    if remaining:
        left = sum(purse.balance.left for purse in purses)
        raise QuotaSpent(cost=cost, left=left, limit=own.limit, back_at=own.back_at)
    return parts


def reserve(c: SqlExecutor, charges: Sequence[Charge], *, job: int, now: float) -> None:
    for one in charges:
        c.execute(RESERVE, (now, one.account, one.purse, -one.credits, job))


def settle(c: SqlExecutor, job: int, now: float) -> None:
    c.execute(SETTLE, (job, now))


def refund(c: sqlite3.Connection, job: int, now: float) -> None:
    """Return the credits to the purse and window that paid, so that a refund adds none to a later window."""
    c.execute(REFUND, (job, now))


def move_reservation(
    c: sqlite3.Connection, job: int, source: int, target: int, credits_: int, *, note: str, now: float
) -> None:
    """Let another account pay the granted credits that a job has reserved."""
    values = {"now": now, "source": source, "target": target, "credits": credits_, "job": job}
    c.execute(MOVED_RESERVATION, values)
    move_between(c, source, target, credits_, note=note, now=now)


def grant(c: sqlite3.Connection, account: int, credits_: int, *, note: str, now: float) -> int:
    """Returns the number of the new row."""
    return _insert_entry(c, account, "grant", "granted", credits_, at=now, note=note)


def reset_window(c: sqlite3.Connection, account: int, allowance: Allowance, *, note: str, now: float) -> int:
    """Put back what was spent in the current window; returns that number of credits."""
    used = balance(c, account, allowance, now).used
    if used:
        _insert_entry(c, account, "grant", "window", used, at=now, note=note)
    return used


def move(c: sqlite3.Connection, account: int, credits_: int, *, note: str, now: float) -> None:
    """Change the granted credits of an account; no row is added for zero credits."""
    if credits_:
        _insert_entry(c, account, "move", "granted", credits_, at=now, note=note)


def move_between(
    c: sqlite3.Connection, source: int, target: int, credits_: int, *, note: str, now: float
) -> None:
    """Move granted credits from one account to another."""
    move(c, source, -credits_, note=note, now=now)
    move(c, target, credits_, note=note, now=now)


ACCOUNT_ENTRIES = """
SELECT at, kind, purse, credits, job, note FROM ledger WHERE id IN (
    SELECT id FROM ledger WHERE account = ?1 AND credits <> 0
    UNION ALL
    SELECT ledger.id FROM job JOIN ledger ON ledger.job = job.id
    WHERE job.account = ?1 AND ledger.account = ?1 AND ledger.credits = 0
)
ORDER BY id DESC LIMIT ?2
"""
"""Rows with zero credits are only in the index by job."""


def entries(c: sqlite3.Connection, account: int, limit: int) -> list[LedgerEntry]:
    return [LedgerEntry(**dict(row)) for row in c.execute(ACCOUNT_ENTRIES, (account, limit))]


def _insert_entry(
    c: sqlite3.Connection, account: int, kind: str, purse: str, credits_: int, *, at: float, note: str = ""
) -> int:
    number = c.execute(INSERT_ENTRY, (at, account, kind, purse, credits_, note)).lastrowid
    assert number is not None
    return number
