"""Enqueue a job: detect duplicates, check limits, reserve credits and assign a fair position.

This takes one query and three writes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import msgspec

from bot.domain.errors import QueueFull, RateLimited
from bot.domain.jobs import Draft, Job, JobState
from bot.domain.quota import Allowance, Caps
from bot.store import eta, ledger, people
from bot.store.connection import tuple_cursor
from bot.store.enqueue_cache import EnqueueCache
from bot.store.job_rows import as_json, job_from_row, job_row

NO_BACKLOG_ADVANTAGE = 1e10
"""At equal tags, a user who had less than a fair share goes before all users with a backlog."""


class Enqueued(msgspec.Struct, frozen=True):
    number: int
    draft: Draft
    at: float
    existing_job: Job | None = None  # the job that an earlier delivery of the same update created

    @property
    def replay(self) -> bool:
        return self.existing_job is not None

    @property
    def job(self) -> Job:
        return self.existing_job or _queued_job(self.draft, self.number, self.at)


LOOKUP = """
SELECT account.id AS account, account.finish, virtual_time.now AS virtual,
    (SELECT coalesce(max(id), 0) FROM job) AS newest
    {more}
FROM person, virtual_time JOIN account ON account.id = person.account WHERE person.key = ?
"""
FIXED_COLUMNS = 4

OPTIONAL_COLUMNS = {
    "before": "(SELECT id FROM job WHERE update_id IN (?, ?) AND person = person.key)",
    "earlier": """(SELECT created_at FROM job
      WHERE account = person.account ORDER BY id DESC LIMIT 1 OFFSET ?)""",
    "person": """(SELECT count(*) FROM job
      WHERE account = person.account AND finished_at IS NULL AND state <> 'held')""",
    "community": """(SELECT count(*) FROM job
      WHERE community = ? AND community <> '' AND finished_at IS NULL AND state <> 'held')""",
}
"""Queried only if needed: returning a column costs as much as finding its value."""

INSERT = """
INSERT INTO job (state, account, person, community, model, request, requester, reply_to, cost, weight,
                 tag, turn, created_at, parent, update_id, kind, work)
VALUES ('queued', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, nullif(?, 0), nullif(?, ''), ?, ?)
"""

UPDATE_FINISH = "UPDATE account SET finish = ? WHERE id = ?"


def enqueue(
    c: sqlite3.Connection,
    draft: Draft,
    *,
    allowance: Allowance,
    pool: Allowance | None,
    caps: Caps,
    enqueue_cache: EnqueueCache,
    now: float,
) -> Enqueued:
    cursor, key = tuple_cursor(c), draft.requester.key
    (account, finish, virtual, newest), optional_values = _look_up(cursor, draft, key, caps, now)
    if optional_values.get("before"):
        return Enqueued(
            optional_values["before"],
            draft,
            now,
            existing_job=job_from_row(job_row(c, optional_values["before"])),
        )
    _check_caps(caps, optional_values, now)
    enqueue_cache.note_newest_job(newest)
    enqueue_cache.check_queue_length(cursor, caps.all)
    charges = _split_cost(c, draft, account, allowance, pool, enqueue_cache, now)
    tag, turn = (finish, newest + 1.0) if finish > virtual else (virtual, newest + 1 - NO_BACKLOG_ADVANTAGE)
    number = _insert(cursor, draft, key, account=account, tag=tag, turn=turn, now=now)
    enqueue_cache.note_own_job(number)
    ledger.reserve(cursor, charges, job=number, now=now)
    cursor.execute(UPDATE_FINISH, (tag + virtual_cost(draft.cost, draft.weight), account))
    return Enqueued(number, draft, now)


def virtual_cost(cost: int, weight: float) -> float:
    """How far a job advances its user's virtual time; a free job advances it too."""
    return max(1, cost) / weight


def _look_up(
    c: sqlite3.Cursor, draft: Draft, key: str, caps: Caps, now: float
) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """Query everything that the decision needs: the fixed columns, and the optional ones by name."""
    requester = draft.requester
    columns: list[str] = []
    values: list[object] = []
    if draft.idempotency_key:
        columns.append("before")
        values += [_scoped_idempotency_key(draft), _earlier_scoped_idempotency_key(draft)]
    if caps.burst:
        columns.append("earlier")
        values.append(caps.burst - 1)
    if caps.person is not None:
        columns.append("person")
    if caps.community is not None and requester.community:
        columns.append("community")
        values.append(requester.community_key)
    values.append(key)
    sql = lookup_sql(*columns)
    row = c.execute(sql, values).fetchone()
    if row is None:
        people.find_or_create_account(c.connection, key, now=now, name=requester.name)
        row = c.execute(sql, values).fetchone()
    return row[:FIXED_COLUMNS], dict(zip(columns, row[FIXED_COLUMNS:], strict=True))


@cache
def lookup_sql(*columns: str) -> str:
    return LOOKUP.format(more="".join(f", {OPTIONAL_COLUMNS[each]} AS {each}" for each in columns))


def _scoped_idempotency_key(draft: Draft) -> str:
    """The key within those of its requester: the same key of another user means another job."""
    return f"{draft.requester.key}:{draft.idempotency_key}" if draft.idempotency_key else ""


def _earlier_scoped_idempotency_key(draft: Draft) -> str:
    """The key as earlier versions stored it, for updates that are repeated right after an upgrade."""
    return f"{draft.requester.platform}:{draft.idempotency_key}"


def _check_caps(caps: Caps, optional_values: Mapping[str, Any], now: float) -> None:
    earlier = optional_values.get("earlier")
    if caps.burst and earlier is not None and now - caps.burst_seconds < earlier <= now:
        raise RateLimited(caps.burst, caps.burst_seconds, earlier + caps.burst_seconds)
    if caps.person is not None and optional_values["person"] >= caps.person:
        raise QueueFull("person", optional_values["person"], caps.person)
    if caps.community is not None and optional_values.get("community", -1) >= caps.community:
        raise QueueFull("community", optional_values["community"], caps.community)


def _split_cost(
    c: sqlite3.Connection,
    draft: Draft,
    account: int,
    allowance: Allowance,
    pool: Allowance | None,
    enqueue_cache: EnqueueCache,
    now: float,
) -> list[ledger.Charge]:
    window, cost = allowance.window(now), draft.cost
    if not allowance.unlimited and enqueue_cache.try_spend(account, window, cost, allowance.credits):
        return [ledger.Charge(account, "window", cost)]
    balance = ledger.balance(c, account, allowance, now)
    enqueue_cache.set_spent(account, window, balance.used + cost)
    return ledger.split_cost(
        [ledger.PayingAccount(account, balance), *_pool_accounts(c, draft, pool, now)], cost
    )


def _pool_accounts(
    c: sqlite3.Connection, draft: Draft, pool: Allowance | None, now: float
) -> list[ledger.PayingAccount]:
    community = draft.requester.community_key
    if not (pool and community):
        return []
    account = people.find_or_create_account(c, f"pool:{community}", now=now)
    return [ledger.PayingAccount(account, ledger.balance(c, account, pool, now))]


def _insert(
    c: sqlite3.Cursor, draft: Draft, key: str, *, account: int, tag: float, turn: float, now: float
) -> int:
    requester = draft.requester
    values = (  # "" or 0 stands for a missing value: binding None is much slower
        account,
        key,
        requester.community_key,
        draft.request.model,
        as_json(draft.request),
        as_json(requester),
        as_json(draft.reply_to),
        draft.cost,
        draft.weight,
        tag,
        turn,
        now,
        draft.parent or 0,
        _scoped_idempotency_key(draft),
        draft.request.kind.value,
        eta.megapixels(draft.request),
    )
    number = c.execute(INSERT, values).lastrowid
    assert number is not None
    return number


def _queued_job(draft: Draft, number: int, now: float) -> Job:
    return Job(
        id=number,
        request=draft.request,
        requester=draft.requester,
        reply_to=draft.reply_to,
        state=JobState.QUEUED,
        cost=draft.cost,
        created_at=now,
        parent=draft.parent,
    )
