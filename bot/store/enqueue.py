"""Joining the line: seen before, allowed, paid for, and given a fair place, in one look and three writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import msgspec

from bot.domain.errors import QueueFull, TooFast
from bot.domain.jobs import Draft, Job, State
from bot.domain.quota import Allowance, Caps
from bot.store import eta, ledger, people
from bot.store.connection import plain
from bot.store.enqueue_cache import Known
from bot.store.job_rows import as_json, community_key, job_from_row, row_of

AHEAD = 1e10
"""Among equals, who has had less than a fair share goes before all who have a backlog."""


class Enqueued(msgspec.Struct, frozen=True):
    number: int
    draft: Draft
    at: float
    before: Job | None = None  # this update was seen before: the job that it made then

    @property
    def replay(self) -> bool:
        return self.before is not None

    @property
    def job(self) -> Job:
        return self.before or _fresh(self.draft, self.number, self.at)


LOOK = """
SELECT account.id AS account, account.finish, virtual_time.now AS virtual,
    (SELECT coalesce(max(id), 0) FROM job) AS newest
    {more}
FROM person, virtual_time JOIN account ON account.id = person.account WHERE person.key = ?
"""
COLUMNS = 4

MORE = {
    "before": "(SELECT id FROM job WHERE update_id = ?)",
    "earlier": """(SELECT created_at FROM job
      WHERE account = person.account ORDER BY id DESC LIMIT 1 OFFSET ?)""",
    "person": """(SELECT count(*) FROM job
      WHERE account = person.account AND finished_at IS NULL AND state <> 'held')""",
    "community": """(SELECT count(*) FROM job
      WHERE community = ? AND community <> '' AND finished_at IS NULL AND state <> 'held')""",
}
"""What only some look for: a column costs as much to hand over as to find."""

INSERT = """
INSERT INTO job (state, account, person, community, model, request, requester, reply_to, cost, weight,
                 tag, turn, created_at, parent, update_id, kind, work)
VALUES ('queued', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, nullif(?, 0), nullif(?, ''), ?, ?)
"""

FINISH = "UPDATE account SET finish = ? WHERE id = ?"


def enqueue(
    c: sqlite3.Connection,
    draft: Draft,
    *,
    allowance: Allowance,
    pool: Allowance | None,
    caps: Caps,
    known: Known,
    now: float,
) -> Enqueued:
    cursor, key = plain(c), draft.requester.key
    (account, finish, virtual, newest), more = _look(cursor, draft, key, caps, now)
    if more.get("before"):
        return Enqueued(more["before"], draft, now, before=job_from_row(row_of(c, more["before"])))
    _check_caps(caps, more, now)
    known.seen(newest)
    known.check_line(cursor, caps.all)
    charges = _charges(c, draft, account, allowance, pool, known, now)
    tag, turn = (finish, newest + 1.0) if finish > virtual else (virtual, newest + 1 - AHEAD)
    number = _insert(cursor, draft, key, account=account, tag=tag, turn=turn, now=now)
    known.joined(number)
    ledger.reserve(cursor, charges, job=number, now=now)
    cursor.execute(FINISH, (tag + share(draft.cost, draft.weight), account))
    return Enqueued(number, draft, now)


def share(cost: int, weight: float) -> float:
    """How much of everybody's turn a job takes: a free one also takes some."""
    return max(1, cost) / weight


def _look(
    c: sqlite3.Cursor, draft: Draft, key: str, caps: Caps, now: float
) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """All that decides, in one statement: what everybody is looked up for, and by name what only some are."""
    who = draft.requester
    asked: list[str] = []
    values: list[object] = []
    if draft.update:
        asked.append("before")
        values.append(_update_id(draft))
    if caps.burst:
        asked.append("earlier")
        values.append(caps.burst - 1)
    if caps.person is not None:
        asked.append("person")
    if caps.community is not None and who.community:
        asked.append("community")
        values.append(community_key(who.platform, who.community))
    values.append(key)
    sql = look_sql(*asked)
    row = c.execute(sql, values).fetchone()
    if row is None:
        people.account_of(c.connection, key, now=now, name=who.name)
        row = c.execute(sql, values).fetchone()
    return row[:COLUMNS], dict(zip(asked, row[COLUMNS:], strict=True))


@cache
def look_sql(*asked: str) -> str:
    return LOOK.format(more="".join(f", {MORE[each]} AS {each}" for each in asked))


def _update_id(draft: Draft) -> str:
    return f"{draft.requester.platform}:{draft.update}" if draft.update else ""


def _check_caps(caps: Caps, found: Mapping[str, Any], now: float) -> None:
    earlier = found.get("earlier")
    if caps.burst and earlier is not None and now - caps.burst_seconds < earlier <= now:
        raise TooFast(caps.burst, caps.burst_seconds, earlier + caps.burst_seconds)
    if caps.person is not None and found["person"] >= caps.person:
        raise QueueFull("person", found["person"], caps.person)
    if caps.community is not None and found.get("community", -1) >= caps.community:
        raise QueueFull("community", found["community"], caps.community)


def _charges(
    c: sqlite3.Connection,
    draft: Draft,
    account: int,
    allowance: Allowance,
    pool: Allowance | None,
    known: Known,
    now: float,
) -> list[ledger.Charge]:
    window, cost = allowance.window(now), draft.cost
    if not allowance.unlimited and known.spends(account, window, cost, allowance.credits):
        return [ledger.Charge(account, "window", cost)]
    own = ledger.balance(c, account, allowance, now)
    known.spent(account, window, own.used + cost)
    return ledger.charges([ledger.Purse(account, own), *_shared(c, draft, pool, now)], cost)


def _shared(c: sqlite3.Connection, draft: Draft, pool: Allowance | None, now: float) -> list[ledger.Purse]:
    community = community_key(draft.requester.platform, draft.requester.community)
    if not (pool and community):
        return []
    account = people.account_of(c, f"pool:{community}", now=now)
    return [ledger.Purse(account, ledger.balance(c, account, pool, now))]


def _insert(
    c: sqlite3.Cursor, draft: Draft, key: str, *, account: int, tag: float, turn: float, now: float
) -> int:
    who = draft.requester
    values = (  # what is not there is told as "" or 0: a None takes far longer to bind
        account,
        key,
        community_key(who.platform, who.community),
        draft.request.model,
        as_json(draft.request),
        as_json(who),
        as_json(draft.reply_to),
        draft.cost,
        draft.weight,
        tag,
        turn,
        now,
        draft.parent or 0,
        _update_id(draft),
        draft.request.kind.value,
        eta.work_of(draft.request),
    )
    number = c.execute(INSERT, values).lastrowid
    assert number is not None
    return number


def _fresh(draft: Draft, number: int, now: float) -> Job:
    return Job(
        id=number,
        request=draft.request,
        requester=draft.requester,
        reply_to=draft.reply_to,
        state=State.QUEUED,
        cost=draft.cost,
        created_at=now,
        parent=draft.parent,
    )
