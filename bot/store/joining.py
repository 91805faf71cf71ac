"""Joining the line: seen before, allowed, paid for, and given a fair place, in one look and three writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

from bot.errors import QueueFull, TooFast
from bot.job import Draft, Job, State
from bot.quota import Allowance, Caps
from bot.store import ledger, pace, people
from bot.store.rows import as_json, community_key, job_from_row, plain, row_of

AHEAD = 1e10
"""Among equals, who has had less than a fair share goes before all who have a backlog."""


class Enqueued(NamedTuple):
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
    (SELECT id FROM job WHERE update_id = ?2) AS seen,
    (SELECT coalesce(sum(credits), 0) FROM ledger
      WHERE account = person.account AND purse = 'window' AND credits <> 0
        AND counted_at >= ?4 AND counted_at < ?5) AS window,
    CASE WHEN ?9 THEN (SELECT created_at FROM job
      WHERE account = person.account ORDER BY id DESC LIMIT 1 OFFSET ?9 - 1) END AS earlier,
    CASE WHEN ?6 >= 0 THEN (SELECT count(*) FROM job
      WHERE account = person.account AND finished_at IS NULL AND state <> 'held') END AS person,
    CASE WHEN ?7 >= 0 THEN (SELECT count(*) FROM job
      WHERE community = ?3 AND community <> '' AND finished_at IS NULL AND state <> 'held') END AS community,
    CASE WHEN ?8 >= 0 THEN (SELECT count(*) FROM job WHERE state = 'queued')
                    + (SELECT count(*) FROM job WHERE state = 'running') END AS "all"
FROM person, virtual_time JOIN account ON account.id = person.account WHERE person.key = ?1
"""

CROWDS = ("person", "community", "all")

INSERT = """
INSERT INTO job (state, account, person, community, model, request, requester, reply_to, cost, weight,
                 tag, turn, created_at, parent, update_id, kind, work)
VALUES ('queued', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, (SELECT coalesce(max(id), 0) + 1 FROM job) - ?, ?,
        nullif(?, 0), nullif(?, ''), ?, ?)
"""


def enqueue(
    c: sqlite3.Connection,
    draft: Draft,
    *,
    allowance: Allowance,
    pool: Allowance | None,
    caps: Caps,
    now: float,
) -> Enqueued:
    window, cursor = allowance.window(now), plain(c)
    account, finish, virtual, seen, spent, earlier, *waiting = _look(cursor, draft, window, caps, now)
    if seen is not None:
        return Enqueued(seen, draft, now, before=job_from_row(row_of(c, seen)))
    _check_caps(caps, waiting, earlier, now)
    if allowance.unlimited or draft.cost > allowance.credits - max(0, -spent):
        own = ledger.balance(c, account, allowance, now)
        charges = ledger.charges([ledger.Purse(account, own), *_shared(c, draft, pool, now)], draft.cost)
    else:
        charges = [ledger.Charge(account, "window", draft.cost)]
    tag = max(virtual, finish)
    ahead = 0.0 if finish > virtual else AHEAD
    number = _insert(cursor, draft, account=account, tag=tag, ahead=ahead, now=now)
    ledger.reserve(cursor, charges, job=number, now=now)
    cursor.execute(
        "UPDATE account SET finish = ? WHERE id = ?", (tag + share(draft.cost, draft.weight), account)
    )
    return Enqueued(number, draft, now)


def share(cost: int, weight: float) -> float:
    """How much of everybody's turn a job takes: a free one also takes some."""
    return max(1, cost) / weight


def _look(
    c: sqlite3.Cursor, draft: Draft, window: tuple[float, float], caps: Caps, now: float
) -> Sequence[Any]:
    """All that decides, in one statement; what has no cap is not counted.

    Values that are not there are told as "", 0 or -1: a None takes far longer to bind.
    """
    who = draft.requester
    values = (
        who.key,
        _update_id(draft),
        community_key(who.platform, who.community),
        *window,
        -1 if caps.person is None else caps.person,
        -1 if caps.community is None else caps.community,
        -1 if caps.all is None else caps.all,
        caps.burst or 0,
    )
    found = c.execute(LOOK, values).fetchone()
    if found is None:
        people.account_of(c.connection, who.key, now=now, name=who.name)
        found = c.execute(LOOK, values).fetchone()
    columns: Sequence[Any] = found
    return columns


def _update_id(draft: Draft) -> str:
    return f"{draft.requester.platform}:{draft.update}" if draft.update else ""


def _check_caps(caps: Caps, waiting: Sequence[int | None], earlier: float | None, now: float) -> None:
    if caps.burst and earlier is not None and now - caps.burst_seconds < earlier <= now:
        raise TooFast(caps.burst, caps.burst_seconds, earlier + caps.burst_seconds)
    for whose, cap, count in zip(CROWDS, (caps.person, caps.community, caps.all), waiting, strict=True):
        if cap is not None and count is not None and count >= cap:
            raise QueueFull(whose, count, cap)


def _shared(c: sqlite3.Connection, draft: Draft, pool: Allowance | None, now: float) -> list[ledger.Purse]:
    community = community_key(draft.requester.platform, draft.requester.community)
    if not (pool and community):
        return []
    account = people.account_of(c, f"pool:{community}", now=now).id
    return [ledger.Purse(account, ledger.balance(c, account, pool, now))]


def _insert(c: sqlite3.Cursor, draft: Draft, *, account: int, tag: float, ahead: float, now: float) -> int:
    who = draft.requester
    values = (
        account,
        who.key,
        community_key(who.platform, who.community),
        draft.request.model,
        as_json(draft.request),
        as_json(who),
        as_json(draft.reply_to),
        draft.cost,
        draft.weight,
        tag,
        ahead,
        now,
        draft.parent or 0,
        _update_id(draft),
        draft.request.kind.value,
        pace.work_of(draft.request),
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
