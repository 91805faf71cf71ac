"""Credits as rows that are only ever added. A balance is a sum; nothing is changed in place."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bot.errors import QuotaSpent
from bot.quota import Allowance, Balance


@dataclass(frozen=True, slots=True)
class Purse:
    """Who pays: an account and what it may spend now."""

    account: int
    allowance: Allowance


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    at: float
    kind: str
    purse: str
    credits: int
    job: int | None
    note: str


SUMS = """
SELECT
    (SELECT coalesce(sum(credits), 0) FROM ledger
      WHERE account = :account AND purse = 'window'
        AND counted_at >= :start AND counted_at < :back) AS window,
    (SELECT coalesce(sum(credits), 0) FROM ledger
      WHERE account = :account AND purse = 'granted') AS granted
"""

ADD = """
INSERT INTO ledger (at, counted_at, account, kind, purse, credits, job, note)
VALUES (:at, :at, :account, :kind, :purse, :credits, :job, :note)
"""

SETTLE = """
INSERT INTO ledger (at, counted_at, account, kind, purse, credits, job)
SELECT :at, counted_at, account, 'settle', purse, 0, job
FROM ledger WHERE job = :job AND kind = 'reserve'
"""

REFUND = """
INSERT INTO ledger (at, counted_at, account, kind, purse, credits, job)
SELECT :at, counted_at, account, 'refund', purse, -credits, job
FROM ledger WHERE job = :job AND kind = 'reserve'
"""


def balance(c: sqlite3.Connection, purse: Purse, now: float) -> Balance:
    allowance = purse.allowance
    back = allowance.back_at(now)
    window, granted = c.execute(
        SUMS, {"account": purse.account, "start": allowance.window_start(now), "back": back}
    ).fetchone()
    return Balance(
        limit=allowance.credits,
        used=max(0, -window),
        granted=granted,
        back_at=back,
        unlimited=allowance.unlimited,
    )


def reserve(c: sqlite3.Connection, purses: Sequence[Purse], *, cost: int, job: int, now: float) -> None:
    """Take all of the cost: from the first purse's window, then its grants, then the next purse's."""
    if purses[0].allowance.unlimited:
        _add(c, purses[0].account, "reserve", "free", -cost, at=now, job=job)
        return
    owed = cost
    balances = [balance(c, purse, now) for purse in purses]
    for account, name, left in _pockets(purses, balances):
        taken = min(owed, left)
        if taken:
            _add(c, account, "reserve", name, -taken, at=now, job=job)
            owed -= taken
    if owed:
        own = balances[0]
        left = sum(one.left for one in balances)
        raise QuotaSpent(cost=cost, left=left, limit=own.limit, back_at=own.back_at)


def _pockets(purses: Sequence[Purse], balances: Sequence[Balance]) -> Iterator[tuple[int, str, int]]:
    for purse, found in zip(purses, balances, strict=True):
        yield purse.account, "window", found.left - found.granted
        yield purse.account, "granted", found.granted


def settle(c: sqlite3.Connection, job: int, now: float) -> None:
    c.execute(SETTLE, {"job": job, "at": now})


def refund(c: sqlite3.Connection, job: int, now: float) -> None:
    """Back to where it came from, purse and window: a refund after midnight gives nothing extra."""
    c.execute(REFUND, {"job": job, "at": now})


def grant(c: sqlite3.Connection, account: int, credits_: int, *, note: str, now: float) -> None:
    _add(c, account, "grant", "granted", credits_, at=now, note=note)


def buy(c: sqlite3.Connection, account: int, credits_: int, *, payment: str, now: float) -> bool:
    """Credits that were paid for; False if this payment was booked before."""
    note = f"payment:{payment}"
    if c.execute("SELECT 1 FROM ledger WHERE kind = 'grant' AND note = ?", (note,)).fetchone():
        return False
    grant(c, account, credits_, note=note, now=now)
    return True


def reset(c: sqlite3.Connection, purse: Purse, *, note: str, now: float) -> int:
    """Forgive what this window took: as much as was used is put back into it."""
    used = balance(c, purse, now).used
    if used:
        _add(c, purse.account, "grant", "window", used, at=now, note=note)
    return used


def move_grants(c: sqlite3.Connection, source: int, target: int, now: float) -> None:
    """What was granted to one account belongs to another from now on."""
    free = Purse(source, Allowance(credits=0))
    granted = balance(c, free, now).granted
    if granted:
        _add(c, source, "move", "granted", -granted, at=now)
        _add(c, target, "move", "granted", granted, at=now)


def entries(c: sqlite3.Connection, account: int, limit: int) -> list[Entry]:
    rows = c.execute(
        "SELECT at, kind, purse, credits, job, note FROM ledger WHERE account = ? ORDER BY id DESC LIMIT ?",
        (account, limit),
    )
    return [Entry(**dict(row)) for row in rows]


def _add(  # noqa: PLR0913  (a row has columns)
    c: sqlite3.Connection,
    account: int,
    kind: str,
    purse: str,
    credits_: int,
    *,
    at: float,
    job: int | None = None,
    note: str = "",
) -> None:
    c.execute(
        ADD,
        {
            "at": at,
            "account": account,
            "kind": kind,
            "purse": purse,
            "credits": credits_,
            "job": job,
            "note": note,
        },
    )
