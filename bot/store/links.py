"""Links between a user's accounts on two platforms: codes, confirmation by both sides, and separation.

The user who enters a code joins the account of the user who made it, and keeps an own account, `home`, to
return to. While linked, both share credits, history and blocks.
"""

from __future__ import annotations

import secrets
import sqlite3
from dataclasses import dataclass

from bot.domain.errors import AlreadyLinked, Blocked, InvalidLinkCode
from bot.domain.quota import Allowance
from bot.store import admin_decisions, ledger, people
from bot.store.job_rows import first_or_none

CODE_SECONDS = 600.0
CODE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # without characters that are easily confused

KEYS_OF_ACCOUNT = (
    "SELECT key FROM person WHERE account = (SELECT account FROM person WHERE key = ?) ORDER BY key"
)

INSERT_REQUEST = """
INSERT INTO link_request
    (id, until, maker, maker_name, maker_language, taker, taker_name, taker_language)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
DELETE_REQUESTS = """
DELETE FROM link_request
WHERE maker IN (:maker, :taker) OR taker IN (:maker, :taker) OR until < :now
"""
LEAVING_GUESTS = """
SELECT key, account, home, joined, spent FROM person
WHERE account = :account AND home IS NOT NULL AND (:everybody OR key = :key)
"""
GUESTS = "SELECT key, account, home, joined, spent FROM person WHERE account = ? AND home IS NOT NULL"

CONTRIBUTED = """
SELECT (
    SELECT coalesce(sum(credits), 0) FROM ledger
    WHERE account = :shared AND purse = 'granted' AND kind = 'move' AND note = :note AND id > :joined
) + (
    SELECT coalesce(sum(ledger.credits), 0) FROM payment JOIN ledger
        ON ledger.id = payment.id OR (ledger.kind = 'move' AND ledger.account = :shared
            AND substr(ledger.note, 1, length(payment.id) + 14) = 'payment-back:' || payment.id || ':')
    WHERE payment.origin = :home AND ledger.account = :shared AND ledger.id > :joined
) + (
    SELECT coalesce(sum(ledger.credits), 0) FROM job JOIN ledger ON ledger.job = job.id
    WHERE job.account = :shared AND job.person = :key
        AND ledger.account = :shared AND ledger.purse = 'granted' AND EXISTS (
            SELECT 1 FROM ledger AS paid WHERE paid.job = job.id AND paid.kind = 'reserve'
                AND paid.account = :shared AND paid.purse = 'granted' AND paid.id > :joined
        )
) - :spent
"""
"""What a user brought into the shared account or bought since the link, less what their own jobs spent.

Jobs of an earlier link were paid by the other user, who also gets their refunds. `spent` stands for jobs that
no longer name their user.
"""


RECORD_SPENDING = """
UPDATE person SET spent = spent - (
    SELECT coalesce(sum(ledger.credits), 0) FROM job AS ended JOIN ledger ON ledger.job = ended.id
    WHERE ended.person = person.key AND ended.account = person.account
        AND ledger.account = person.account AND ledger.purse = 'granted' AND EXISTS (
            SELECT 1 FROM ledger AS paid WHERE paid.job = ended.id AND paid.kind = 'reserve'
                AND paid.account = person.account AND paid.purse = 'granted' AND paid.id > person.joined
        ) AND ended.id IN (SELECT id FROM job WHERE {where})
) WHERE home IS NOT NULL
"""


RESERVED = """
SELECT ledger.job, -ledger.credits AS credits FROM job JOIN ledger ON ledger.job = job.id
WHERE job.account = :shared AND job.person = :key AND job.state NOT IN ('delivered', 'failed', 'cancelled')
    AND ledger.account = :shared AND ledger.purse = 'granted' AND ledger.kind = 'reserve'
    AND ledger.credits < 0 AND ledger.id > :joined AND NOT EXISTS (
        SELECT 1 FROM ledger AS back WHERE back.job = job.id AND back.kind = 'refund'
            AND back.account = :shared AND back.purse = 'granted'
    )
ORDER BY job.id
"""
"""What unfinished jobs of a user have reserved in the shared account: it may still be returned."""


@dataclass(frozen=True, slots=True)
class LinkSide:
    """One of the two users of a link request."""

    key: str
    name: str
    language: str
    agreed: bool = False


@dataclass(frozen=True, slots=True)
class LinkRequest:
    """`complete` means that both sides have agreed and that the accounts are joined."""

    id: int
    maker: LinkSide
    taker: LinkSide

    @property
    def complete(self) -> bool:
        return self.maker.agreed and self.taker.agreed

    def other_side(self, key: str) -> LinkSide:
        return self.taker if key == self.maker.key else self.maker


def create_link_code(c: sqlite3.Connection, side: LinkSide, now: float) -> str:
    """A code to enter on the other platform within ten minutes. Raises AlreadyLinked or Blocked."""
    people.find_or_create_account(c, side.key, now=now)
    _check_may_link(c, side.key, now)
    c.execute("DELETE FROM link_code WHERE person = ? OR until < ?", (side.key, now))
    code = "".join(secrets.choice(CODE_LETTERS) for _ in range(8))
    c.execute(
        "INSERT INTO link_code (code, person, until, name, language) VALUES (?, ?, ?, ?, ?)",
        (code, side.key, now + CODE_SECONDS, side.name, side.language),
    )
    return code


def withdraw_link_code(c: sqlite3.Connection, code: str) -> None:
    """Make a code invalid, because others have seen it."""
    c.execute("DELETE FROM link_code WHERE code = ?", (code.strip().upper(),))


def request_link(c: sqlite3.Connection, taker: LinkSide, code: str, now: float) -> LinkRequest:
    """Use a code. Nothing is shared until both sides have confirmed the request.

    Raises InvalidLinkCode, AlreadyLinked or Blocked.
    """
    sql = "DELETE FROM link_code WHERE code = ? AND until >= ? AND person <> ? RETURNING *"
    row = first_or_none(c.execute(sql, (code.strip().upper(), now, taker.key)).fetchall())
    if row is None:
        raise InvalidLinkCode
    people.find_or_create_account(c, taker.key, now=now)
    _check_may_link(c, taker.key, now)
    _check_other_may_link(c, row["person"], now)
    c.execute(DELETE_REQUESTS, {"maker": row["person"], "taker": taker.key, "now": now})
    number, until = secrets.randbelow(10**15) + 1, now + CODE_SECONDS
    maker = (row["person"], row["name"], row["language"])
    c.execute(INSERT_REQUEST, (number, until, *maker, taker.key, taker.name, taker.language))
    found = pending_request(c, taker.key, now)
    assert found is not None, "the request was just inserted"
    return found


def pending_request(
    c: sqlite3.Connection, key: str, now: float, number: int | None = None
) -> LinkRequest | None:
    """The user's request that waits for confirmation, if its number is that one or no number is given."""
    sql = (
        "SELECT * FROM link_request WHERE (maker = :key OR taker = :key) AND until >= :now"
        " AND id = coalesce(:number, id)"
    )
    row = first_or_none(c.execute(sql, {"key": key, "now": now, "number": number}).fetchall())
    return _request(row) if row else None


def answer_request(c: sqlite3.Connection, key: str, number: int, *, agree: bool, now: float) -> LinkRequest:
    """Record one side's answer; join the accounts once both agree. A refusal deletes the request.

    Raises InvalidLinkCode if the user has no such request, AlreadyLinked or Blocked.
    """
    found = pending_request(c, key, now, number)
    if found is None:
        raise InvalidLinkCode
    if not agree:
        c.execute("DELETE FROM link_request WHERE id = ?", (number,))
        return found
    _check_may_link(c, key, now)
    _check_other_may_link(c, found.other_side(key).key, now)
    column = "maker_agreed" if key == found.maker.key else "taker_agreed"
    sql = f"UPDATE link_request SET {column} = 1 WHERE id = ? RETURNING *"  # noqa: S608  (constants)
    answered = _request(c.execute(sql, (number,)).fetchall()[0])
    if answered.complete:
        c.execute("DELETE FROM link_request WHERE id = ?", (number,))
        _join(c, answered.taker.key, answered.maker.key, now)
    return answered


def linked_keys(c: sqlite3.Connection, key: str) -> list[str]:
    """All users who share the account, this one included."""
    return [row["key"] for row in c.execute(KEYS_OF_ACCOUNT, (key,))]


def separate(c: sqlite3.Connection, key: str, now: float) -> list[str]:
    """Undo the links of this user; returns the other users. Nobody else leaves a shared account.

    A user who joined leaves alone. If the user owns the account, all who joined it leave.
    """
    row = first_or_none(c.execute("SELECT account, home FROM person WHERE key = ?", (key,)).fetchall())
    if row is None:
        return []
    others = [other for other in linked_keys(c, key) if other != key]
    _extend_block(c, [key, *others], now)
    which = {"account": row["account"], "everybody": row["home"] is None, "key": key}
    for guest in c.execute(LEAVING_GUESTS, which).fetchall():
        _leave(c, guest, now)
    return others


def unspent_credits(c: sqlite3.Connection, account: int, origin: int) -> int:
    """The granted credits in `account` that belong to the user whose own account is `origin`.

    If the account is not shared, these are all of them. Otherwise they are what this user brought or bought
    and has not spent, so that a refund does not take the credits of the other user.
    """
    guests = c.execute(GUESTS, (account,)).fetchall()
    unspent = {guest["home"]: _unspent_of_guest(c, guest) for guest in guests}
    if origin in unspent:
        return unspent[origin]
    return max(0, _granted(c, account) - sum(unspent.values()))


def forward_to_joined_account(c: sqlite3.Connection, account: int, returned: int, now: float) -> int:
    """Move granted credits that a job returned to the account that its user has joined since.

    Returns that account, or the same account if its user has joined no other.
    """
    row = first_or_none(c.execute("SELECT account FROM person WHERE home = ?", (account,)).fetchall())
    if row is None:
        return account
    ledger.move_between(c, account, row["account"], returned, note=_note(account), now=now)
    joined: int = row["account"]
    return joined


def record_spending(c: sqlite3.Connection, where: str, values: tuple[object, ...]) -> None:
    """Remember what linked users spent for these jobs, which will not name their user any more."""
    c.execute(RECORD_SPENDING.format(where=where), values)


def delete_personal_data(c: sqlite3.Connection, key: str) -> None:
    c.execute("DELETE FROM link_code WHERE person = ?", (key,))
    c.execute("DELETE FROM link_request WHERE maker = :key OR taker = :key", {"key": key})


def _join(c: sqlite3.Connection, taker: str, maker: str, now: float) -> None:
    """Move the taker's granted credits, payments and history to the account of the maker."""
    own, shared = (people.find_or_create_account(c, key, now=now) for key in (taker, maker))
    newest: int = c.execute("SELECT coalesce(max(id), 0) FROM ledger").fetchone()[0]
    ledger.move_between(c, own, shared, _granted(c, own), note=_note(own), now=now)
    c.execute(
        "UPDATE person SET account = ?, home = ?, joined = ? WHERE key = ?", (shared, own, newest, taker)
    )
    c.execute("UPDATE job SET account = ? WHERE person = ?", (shared, taker))
    c.execute("UPDATE payment SET account = ? WHERE origin = ?", (shared, own))


def _leave(c: sqlite3.Connection, guest: sqlite3.Row, now: float) -> None:
    """Return a user to their own account, with their history, payments and unspent credits.

    Their unfinished jobs are paid by their own account then, as far as they brought the credits for them.
    """
    key, shared, home = guest["key"], guest["account"], guest["home"]
    unspent = _unspent_of_guest(c, guest)
    reserved = c.execute(RESERVED, _values(guest)).fetchall()
    total = sum(row["credits"] for row in reserved)
    coverage = min(_contributed(c, guest), _granted(c, shared)) + total
    for row in reserved:
        if row["credits"] <= coverage:
            coverage -= row["credits"]
            ledger.move_reservation(c, row["job"], shared, home, row["credits"], note=_note(home), now=now)
    ledger.move_between(c, shared, home, unspent, note=_note(home), now=now)
    c.execute("UPDATE person SET account = home, home = NULL, joined = 0, spent = 0 WHERE key = ?", (key,))
    c.execute("UPDATE job SET account = ? WHERE person = ?", (home, key))
    c.execute("UPDATE payment SET account = origin WHERE origin = ?", (home,))


def _unspent_of_guest(c: sqlite3.Connection, guest: sqlite3.Row) -> int:
    return max(0, min(_contributed(c, guest), _granted(c, guest["account"])))


def _contributed(c: sqlite3.Connection, guest: sqlite3.Row) -> int:
    found: int = c.execute(CONTRIBUTED, _values(guest)).fetchone()[0]
    return found


def _values(guest: sqlite3.Row) -> dict[str, object]:
    names = {"key": "key", "shared": "account", "home": "home", "joined": "joined", "spent": "spent"}
    return {"note": _note(guest["home"])} | {name: guest[column] for name, column in names.items()}


def _extend_block(c: sqlite3.Connection, keys: list[str], now: float) -> None:
    """Let a block of the account hold for each of its users, so that a separation does not end it."""
    found = admin_decisions.active_block(c, keys[0], now)
    if found is None or len(keys) == 1:
        return
    for key in keys:
        admin_decisions.block(c, key, until=found.until, reason=found.reason, now=now)


def _check_may_link(c: sqlite3.Connection, key: str, now: float) -> None:
    """Raises Blocked, or AlreadyLinked if the user shares an account: the other user would have to agree."""
    block = admin_decisions.active_block(c, key, now)
    if block is not None:
        raise Blocked(block.until, block.reason)
    if len(linked_keys(c, key)) > 1:
        raise AlreadyLinked


def _check_other_may_link(c: sqlite3.Connection, key: str, now: float) -> None:
    """As above, but a user does not learn that the other one is blocked: raises InvalidLinkCode instead."""
    try:
        _check_may_link(c, key, now)
    except Blocked:
        raise InvalidLinkCode from None


def _request(row: sqlite3.Row) -> LinkRequest:
    maker, taker = (
        LinkSide(row[side], row[f"{side}_name"], row[f"{side}_language"], bool(row[f"{side}_agreed"]))
        for side in ("maker", "taker")
    )
    return LinkRequest(row["id"], maker, taker)


def _granted(c: sqlite3.Connection, account: int) -> int:
    return ledger.balance(c, account, Allowance(credits=0), 0.0).granted


def _note(home: int) -> str:
    """The note of moves between an own account and the account that its user joined."""
    return f"link:{home}"
