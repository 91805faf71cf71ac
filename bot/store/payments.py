"""Payments and their refunds. Each movement of credits is one ledger row that names the payment.

A refund has two steps. `begin_refund` withdraws the credits, so that nothing else can spend them while the
platform is asked. Then `finish_refund` keeps them withdrawn, or `cancel_refund` books them back.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from bot.domain.errors import NoSuchPayment
from bot.store import ledger, links, people
from bot.store.job_rows import first_or_none

PAYMENT_NOTE, REFUND_NOTE = "payment:", "payment-back:"

INSERT_PAYMENT = """
INSERT INTO payment (id, name, payer, account, origin, credits)
SELECT :id, :name, key, account, coalesce(home, account), :credits FROM person WHERE key = :payer
"""
BY_ACCOUNT = "SELECT * FROM payment WHERE account = ? AND state <> 'refunded' ORDER BY id DESC"
BY_NAME = "SELECT * FROM payment WHERE name = ?"
BEGIN_REFUND = """
UPDATE payment SET state = 'refunding', attempt = attempt + 1, taken = :taken, payer = :payer
WHERE id = :id AND state = 'paid'
"""
FINISH_REFUND = (
    "UPDATE payment SET state = 'refunded', owed = credits - taken WHERE id = ? AND state = 'refunding'"
)
CANCEL_REFUND = "UPDATE payment SET state = 'paid', taken = 0 WHERE id = ? AND state = 'refunding'"
FORGET_PAYER = "UPDATE payment SET payer = '' WHERE id = ? AND payer NOT IN (SELECT key FROM person)"
"""A user who deletes their data during a refund is known until the platform has answered."""
MISSING_BY_ACCOUNT = """
SELECT id, account, origin, CASE state WHEN 'refunding' THEN credits - taken ELSE owed END AS missing
FROM payment WHERE account = ? AND (state = 'refunding' AND taken < credits OR owed > 0) ORDER BY id
"""
TAKE_MISSING = "UPDATE payment SET owed = max(0, owed - :part), taken = taken + :part WHERE id = :id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """`name` is the platform's identifier; `fully_refundable` means that none of its credits are spent."""

    id: int
    name: str
    credits: int
    payer: str  # the user who paid; '' if they have deleted their data
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


def refunded_payment(c: sqlite3.Connection, key: str, payment_id: int) -> Payment | None:
    """That payment of the user's account, if it was refunded."""
    sql = "SELECT * FROM payment WHERE id = ? AND account = ? AND state = 'refunded'"
    row = first_or_none(c.execute(sql, (payment_id, people.find_account(c, key))).fetchall())
    return _payment(c, row) if row else None


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

    A refund that is under way is returned as it is. Raises NoSuchPayment, also if nobody is known whom the
    platform could return the money to.
    """
    row = first_or_none(c.execute(BY_NAME, (name,)).fetchall())
    if row is None or (row["state"] == "paid" and not _payment(c, row).payer):
        raise NoSuchPayment
    return _begin(c, name, now)


def finish_refund(c: sqlite3.Connection, payment_id: int) -> None:
    """Call this once the platform has returned the money. Does nothing if no refund is under way."""
    c.execute(FINISH_REFUND, (payment_id,))
    c.execute(FORGET_PAYER, (payment_id,))


def cancel_refund(c: sqlite3.Connection, payment_id: int, now: float) -> None:
    """Book the credits back after the platform refused. Does nothing if no refund is under way."""
    row = first_or_none(c.execute("SELECT * FROM payment WHERE id = ?", (payment_id,)).fetchall())
    if row is not None and c.execute(CANCEL_REFUND, (payment_id,)).rowcount:
        note = f"{REFUND_NOTE}{row['id']}:{row['attempt']}:kept"
        ledger.move(c, row["account"], row["taken"], note=note, now=now)
        c.execute(FORGET_PAYER, (payment_id,))


def refund_under_way(c: sqlite3.Connection, payment_id: int) -> Payment:
    """The payment, if the platform's answer is still not known. Raises NoSuchPayment."""
    sql = "SELECT * FROM payment WHERE state = 'refunding' AND id = ?"
    row = first_or_none(c.execute(sql, (payment_id,)).fetchall())
    if row is None:
        raise NoSuchPayment
    return _payment(c, row)


def refunds_under_way(c: sqlite3.Connection, platform: str) -> list[Payment]:
    sql = "SELECT * FROM payment WHERE state = 'refunding' AND name >= ? AND name < ? ORDER BY id"
    return [_payment(c, row) for row in c.execute(sql, (f"{platform}:", f"{platform};")).fetchall()]


def reverse_purchase(c: sqlite3.Connection, name: str, *, payer: str, now: float) -> int | None:
    """Take back what is left of the credits of a payment that the platform has returned to `payer`.

    Returns how many; None if the payment is unknown, was reversed before, or is of another account.
    """
    if not _may_have_paid(c, name, payer):
        return None
    try:
        found = _begin(c, name, now)
    except NoSuchPayment:
        return None
    finish_refund(c, found.id)
    taken: int = c.execute("SELECT taken FROM payment WHERE id = ?", (found.id,)).fetchone()[0]
    return taken


def collect_owed(c: sqlite3.Connection, account: int, returned: int, *, job: int, now: float) -> None:
    """Withdraw from `returned` credits of a job what their owner owes for refunds, made or under way.

    Otherwise a payment that was refunded while its credits paid for a job would be refunded twice.
    """
    for row in c.execute(MISSING_BY_ACCOUNT, (account,)).fetchall():
        part = min(returned, row["missing"], links.unspent_credits(c, account, row["origin"]))
        if part:
            ledger.move(c, account, -part, note=f"{REFUND_NOTE}{row['id']}:owed:{job}", now=now)
            c.execute(TAKE_MISSING, {"part": part, "id": row["id"]})
            returned -= part


def _begin(c: sqlite3.Connection, name: str, now: float) -> Payment:
    row = first_or_none(c.execute(BY_NAME, (name,)).fetchall())
    if row is None or row["state"] == "refunded":
        raise NoSuchPayment
    if row["state"] == "paid":
        taken = min(row["credits"], links.unspent_credits(c, row["account"], row["origin"]))
        payer = row["payer"] or _user_of_account(c, row["origin"])
        c.execute(BEGIN_REFUND, {"id": row["id"], "taken": taken, "payer": payer})
        note = f"{REFUND_NOTE}{row['id']}:{row['attempt'] + 1}"
        ledger.move(c, row["account"], -taken, note=note, now=now)
    return _payment(c, c.execute(BY_NAME, (name,)).fetchone())


def _may_have_paid(c: sqlite3.Connection, name: str, key: str) -> bool:
    """Whether the payment is of this user's account, or of one that has no user any more."""
    row = first_or_none(c.execute(BY_NAME, (name,)).fetchall())
    if row is None:
        return False
    sharing = c.execute("SELECT key FROM person WHERE account = ?", (row["account"],))
    users = {row["payer"], *(one for (one,) in sharing)} - {""}
    return not users or key in users


def _payment(c: sqlite3.Connection, row: sqlite3.Row) -> Payment:
    under_way = row["state"] == "refunding"
    unspent = links.unspent_credits(c, row["account"], row["origin"])
    return Payment(
        id=row["id"],
        name=row["name"],
        credits=row["credits"],
        payer=row["payer"] or _user_of_account(c, row["origin"]),
        fully_refundable=not under_way and unspent >= row["credits"],
        refund_under_way=under_way,
    )


def _user_of_account(c: sqlite3.Connection, own: int) -> str:
    """The user whose own account it is; '' if there is none. Users who return after a deletion get theirs."""
    sql = "SELECT key FROM person WHERE account = :own AND home IS NULL OR home = :own"
    row = first_or_none(c.execute(sql, {"own": own}).fetchall())
    return row["key"] if row else ""
