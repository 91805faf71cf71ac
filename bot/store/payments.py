"""Payments and their refunds. Each movement of credits is one ledger row that names the payment.

A refund has two steps. `begin_refund` withdraws the credits, so that nothing else can spend them while the
platform is asked. Then `finish_refund` keeps them withdrawn, or `cancel_refund` books them back.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from bot.domain.errors import NoSuchPayment
from bot.domain.quota import Allowance
from bot.store import ledger, people
from bot.store.job_rows import first_or_none

PAYMENT_NOTE, REFUND_NOTE = "payment:", "payment-back:"

INSERT_PAYMENT = """
INSERT INTO payment (id, name, payer, account, origin, credits)
SELECT :id, :name, key, account, coalesce(home, account), :credits FROM person WHERE key = :payer
"""
BY_ACCOUNT = "SELECT * FROM payment WHERE account = ? AND state <> 'refunded' ORDER BY id DESC"
BY_NAME = "SELECT * FROM payment WHERE name = ?"
BEGIN_REFUND = """
UPDATE payment SET state = 'refunding', attempt = attempt + 1, taken = :taken
WHERE id = :id AND state = 'paid'
"""
FINISH_REFUND = (
    "UPDATE payment SET state = 'refunded', owed = credits - taken WHERE id = ? AND state = 'refunding'"
)
CANCEL_REFUND = "UPDATE payment SET state = 'paid', taken = 0 WHERE id = ? AND state = 'refunding'"
PAY_OWED = "UPDATE payment SET owed = owed - :part, taken = taken + :part WHERE id = :id"
OWED_BY_ACCOUNT = "SELECT id, owed FROM payment WHERE account = ? AND owed > 0 ORDER BY id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """`name` is the platform's identifier; `fully_refundable` means that none of its credits are spent."""

    id: int
    name: str
    credits: int
    payers: tuple[str, ...]  # the user who paid, or, if that is unknown, all who share the account
    fully_refundable: bool
    refund_under_way: bool = False  # its credits are withdrawn, and the platform's answer is not known yet


def record_purchase(c: sqlite3.Connection, key: str, credits_: int, *, name: str, now: float) -> bool:
    """Grant credits that the user paid for; False if this payment was recorded before."""
    if c.execute("SELECT 1 FROM payment WHERE name = ?", (name,)).fetchone():
        return False
    account = people.find_or_create_account(c, key, now=now)
    entry = ledger.grant(c, account, credits_, note=PAYMENT_NOTE + name, now=now)
    c.execute(INSERT_PAYMENT, {"id": entry, "name": name, "payer": key, "credits": credits_})
    return True


def payments_of(c: sqlite3.Connection, key: str) -> list[Payment]:
    """The payments of the user's account that were not refunded, newest first."""
    account = people.find_account(c, key)
    return [_payment(c, row) for row in c.execute(BY_ACCOUNT, (account,)).fetchall()] if account else []


def begin_own_refund(c: sqlite3.Connection, key: str, payment_id: int, now: float) -> Payment:
    """Withdraw the credits of a payment of the user's account, if none of them is spent.

    A refund that is under way is returned as it is. Raises NoSuchPayment.
    """
    found = next((payment for payment in payments_of(c, key) if payment.id == payment_id), None)
    if found is None or not (found.fully_refundable or found.refund_under_way):
        raise NoSuchPayment
    return _begin(c, found.name, now)


def begin_refund(c: sqlite3.Connection, name: str, now: float) -> Payment:
    """Withdraw what is left of the credits of any payment.

    A refund that is under way is returned as it is. Raises NoSuchPayment.
    """
    return _begin(c, name, now)


def finish_refund(c: sqlite3.Connection, payment_id: int) -> None:
    """Call this once the platform has returned the money. Does nothing if no refund is under way."""
    c.execute(FINISH_REFUND, (payment_id,))


def cancel_refund(c: sqlite3.Connection, payment_id: int, now: float) -> None:
    """Book the credits back after the platform refused. Does nothing if no refund is under way."""
    row = first_or_none(c.execute("SELECT * FROM payment WHERE id = ?", (payment_id,)).fetchall())
    if row is not None and c.execute(CANCEL_REFUND, (payment_id,)).rowcount:
        note = f"{REFUND_NOTE}{row['id']}:{row['attempt']}:kept"
        ledger.move(c, row["account"], row["taken"], note=note, now=now)


def refunds_under_way(c: sqlite3.Connection, platform: str) -> list[Payment]:
    sql = "SELECT * FROM payment WHERE state = 'refunding' AND name >= ? AND name < ? ORDER BY id"
    return [_payment(c, row) for row in c.execute(sql, (f"{platform}:", f"{platform};")).fetchall()]


def reverse_purchase(c: sqlite3.Connection, name: str, now: float) -> int | None:
    """Take back what is left of the credits of a payment that the platform has returned.

    Returns how many; None if the payment is unknown or was reversed before.
    """
    try:
        found = _begin(c, name, now)
    except NoSuchPayment:
        return None
    finish_refund(c, found.id)
    taken: int = c.execute("SELECT taken FROM payment WHERE id = ?", (found.id,)).fetchone()[0]
    return taken


def collect_owed(c: sqlite3.Connection, account: int, returned: int, *, job: int, now: float) -> None:
    """Withdraw from `returned` credits of a job what the account owes for refunded payments.

    Otherwise a payment that was refunded while its credits paid for a job would be refunded twice.
    """
    for row in c.execute(OWED_BY_ACCOUNT, (account,)).fetchall():
        part = min(returned, row["owed"])
        if part:
            ledger.move(c, account, -part, note=f"{REFUND_NOTE}{row['id']}:owed:{job}", now=now)
            c.execute(PAY_OWED, {"part": part, "id": row["id"]})
            returned -= part


def _begin(c: sqlite3.Connection, name: str, now: float) -> Payment:
    row = first_or_none(c.execute(BY_NAME, (name,)).fetchall())
    if row is None or row["state"] == "refunded":
        raise NoSuchPayment
    if row["state"] == "paid":
        taken = min(row["credits"], _granted(c, row["account"]))
        c.execute(BEGIN_REFUND, {"id": row["id"], "taken": taken})
        note = f"{REFUND_NOTE}{row['id']}:{row['attempt'] + 1}"
        ledger.move(c, row["account"], -taken, note=note, now=now)
    return _payment(c, c.execute(BY_NAME, (name,)).fetchone())


def _payment(c: sqlite3.Connection, row: sqlite3.Row) -> Payment:
    sharing = "SELECT key FROM person WHERE account = ? ORDER BY created_at"
    payers = [row["payer"]] if row["payer"] else [key for (key,) in c.execute(sharing, (row["account"],))]
    under_way = row["state"] == "refunding"
    return Payment(
        id=row["id"],
        name=row["name"],
        credits=row["credits"],
        payers=tuple(payers),
        fully_refundable=not under_way and _granted(c, row["account"]) >= row["credits"],
        refund_under_way=under_way,
    )


def _granted(c: sqlite3.Connection, account: int) -> int:
    return ledger.balance(c, account, Allowance(credits=0), 0.0).granted
