"""The line in front of the engine: who may join it, who is next, and how a turn ends."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bot.errors import QueueFull, TooFast, TooLate
from bot.job import Draft, Job, State
from bot.quota import Allowance, Caps
from bot.store import ledger, pace, people
from bot.store.rows import Superseded, as_json, draft_to_row, job_from_row, only, row_of
from generation.clip import Clip
from generation.errors import Told

MOST_PASSES = 2
AHEAD = 1e10
"""Among equals, who has had less than a fair share goes before all who have a backlog."""


@dataclass(frozen=True, slots=True)
class Enqueued:
    job: Job
    replay: bool = False  # this update was seen before: the job is the one it made then


INSERT = """
INSERT INTO job (state, account, person, community, model, request, requester, reply_to, cost, weight,
                 tag, turn, created_at, parent, update_id)
VALUES ('queued', :account, :person, :community, :model, :request, :requester, :reply_to, :cost, :weight,
        :tag, (SELECT coalesce(max(id), 0) + 1 FROM job) - :ahead, :now, :parent, :update_id)
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
    values = draft_to_row(draft)
    if values["update_id"] and (seen := _by_update(c, values["update_id"])):
        return Enqueued(seen, replay=True)
    account = people.account_of(c, draft.requester.key, now=now, name=draft.requester.name)
    _check_caps(c, account.id, values["community"], caps, now)
    virtual = c.execute("SELECT now FROM virtual_time").fetchone()[0]
    tag = max(virtual, account.finish)
    ahead = 0.0 if account.finish > virtual else AHEAD
    row = c.execute(INSERT, values | {"account": account.id, "tag": tag, "ahead": ahead, "now": now})
    assert row.lastrowid is not None
    purses = [ledger.Purse(account.id, allowance)]
    if pool and values["community"]:
        shared = people.account_of(c, f"pool:{values['community']}", now=now)
        purses.append(ledger.Purse(shared.id, pool))
    ledger.reserve(c, purses, cost=draft.cost, job=row.lastrowid, now=now)
    c.execute(
        "UPDATE account SET finish = ? WHERE id = ?", (tag + _share(draft.cost, draft.weight), account.id)
    )
    return Enqueued(_fresh(draft, row.lastrowid, now))


def _by_update(c: sqlite3.Connection, update: str) -> Job | None:
    row = only(c.execute("SELECT * FROM job WHERE update_id = ?", (update,)).fetchall())
    return job_from_row(row) if row else None


def _share(cost: int, weight: float) -> float:
    """How much of everybody's turn a job takes: a free one also takes some."""
    return max(1, cost) / weight


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


def _check_caps(c: sqlite3.Connection, account: int, community: str, caps: Caps, now: float) -> None:
    if caps.burst:
        earlier = c.execute(
            "SELECT created_at FROM job WHERE account = ? ORDER BY id DESC LIMIT 1 OFFSET ?",
            (account, caps.burst - 1),
        ).fetchone()
        if earlier and now - caps.burst_seconds < earlier[0] <= now:
            raise TooFast(caps.burst, caps.burst_seconds, earlier[0] + caps.burst_seconds)
    for whose, cap, where, who in (
        ("person", caps.person, "account = ? AND", (account,)),
        ("community", caps.community if community else None, "community = ? AND", (community,)),
        ("all", caps.all, "", ()),
    ):
        if cap is not None and (waiting := _waiting(c, where, who, cap)) >= cap:
            raise QueueFull(whose, waiting, cap)


def _waiting(c: sqlite3.Connection, where: str, who: Sequence[Any], cap: int) -> int:
    """How many wait or run, counted no further than the cap."""
    head = "SELECT count(*) FROM (SELECT 1 FROM job WHERE"
    sql = f"{head} {where} state IN ('queued', 'running') LIMIT ?)"
    count: int = c.execute(sql, (*who, cap)).fetchone()[0]
    return count


HEAD = """
SELECT id, tag, passed FROM job
WHERE state = 'queued' AND NOT EXISTS (SELECT 1 FROM fact WHERE name = 'paused' AND value = 'true')
ORDER BY tag, turn, id LIMIT 1
"""

THIS = "SELECT id, tag, passed FROM job WHERE state = 'queued' AND id = :this"

PREFERRED = """
SELECT id, tag, passed FROM job WHERE state = 'queued' AND model = ? AND tag = ? ORDER BY turn, id LIMIT 1
"""

CLAIM = """
UPDATE job SET state = 'running', epoch = epoch + 1, lease_until = :until, started_at = :now, painted = 0
WHERE id = :job AND state = 'queued' RETURNING *
"""


def claim(
    c: sqlite3.Connection, *, until: float, prefer_model: str | None, this: int | None = None, now: float
) -> Job | None:
    head = only(c.execute(HEAD if this is None else THIS, {"this": this}).fetchall())
    if head is None:
        return None
    chosen = _preferred(c, head, prefer_model) or head
    row = c.execute(CLAIM, {"job": chosen["id"], "until": until, "now": now}).fetchall()[0]
    c.execute("UPDATE virtual_time SET now = max(now, ?)", (chosen["tag"],))
    return job_from_row(row)


def _preferred(c: sqlite3.Connection, head: sqlite3.Row, model: str | None) -> sqlite3.Row | None:
    """A job of the loaded model among those whose turn it is too; nobody is passed over more than twice."""
    if model is None or head["passed"] >= MOST_PASSES:
        return None
    found = only(c.execute(PREFERRED, (model, head["tag"])).fetchall())
    if found is not None and found["id"] != head["id"]:
        c.execute("UPDATE job SET passed = passed + 1 WHERE id = ?", (head["id"],))
    return found


RENEW = "UPDATE job SET lease_until = :until WHERE id = :job AND epoch = :epoch AND state = 'running'"

PAINTED = "UPDATE job SET painted = 1 WHERE id = :job AND epoch = :epoch AND state = 'running' RETURNING *"

RENDERED = """
UPDATE job SET state = 'rendered', clip = :clip, finished_at = :now, lease_until = NULL, painted = 1
WHERE id = :job AND epoch = :epoch AND state = 'running' RETURNING *
"""

FAILED = """
UPDATE job SET state = 'failed', error = :error, finished_at = :now, lease_until = NULL
WHERE id = :job AND epoch = :epoch AND state = 'running' RETURNING *
"""

REQUEUED = """
UPDATE job SET state = 'queued', attempt = attempt + :guilty,
               lease_until = NULL, started_at = NULL, painted = 0
WHERE id = :job AND epoch = :epoch AND state = 'running' RETURNING *
"""

HELD = """
UPDATE job SET state = 'held', error = :error, attempt = attempt + 1, lease_until = NULL
WHERE id = :job AND epoch = :epoch AND state = 'running' RETURNING *
"""

FREED = """
UPDATE job SET state = 'queued', lease_until = NULL, started_at = NULL, painted = 0
WHERE state = 'running' AND (lease_until < :steady OR :all) RETURNING id
"""


def renew(c: sqlite3.Connection, job: int, epoch: int, *, until: float) -> bool:
    return c.execute(RENEW, {"job": job, "epoch": epoch, "until": until}).rowcount == 1


def painted(c: sqlite3.Connection, job: int, epoch: int) -> Job:
    return change(c, PAINTED, job=job, epoch=epoch)


def rendered(c: sqlite3.Connection, job: int, epoch: int, clip: Clip, *, now: float) -> Job:
    done = change(c, RENDERED, job=job, epoch=epoch, clip=as_json(clip), now=now)
    ledger.settle(c, job, now)
    pace.measured(c, done, seconds=now - (done.started_at or now))
    return done


def failed(c: sqlite3.Connection, job: int, epoch: int, error: Told, *, now: float) -> Job:
    done = change(c, FAILED, job=job, epoch=epoch, error=json.dumps(error.to_json()), now=now)
    ledger.refund(c, job, now)
    return done


def requeue(c: sqlite3.Connection, job: int, epoch: int, *, guilty: bool) -> Job:
    return change(c, REQUEUED, job=job, epoch=epoch, guilty=int(guilty))


def hold(c: sqlite3.Connection, job: int, epoch: int, error: Told) -> Job:
    return change(c, HELD, job=job, epoch=epoch, error=json.dumps(error.to_json()))


def free(c: sqlite3.Connection, *, steady: float, every: bool) -> list[int]:
    """Give back to the queue, without blame, what runs under a lease that ran out (or all of it)."""
    return [row["id"] for row in c.execute(FREED, {"steady": steady, "all": int(every)}).fetchall()]


CANCEL = """
UPDATE job SET state = 'cancelled', finished_at = :now, lease_until = NULL
WHERE id = :job AND state IN ('queued', 'running', 'held') RETURNING *
"""

CLOSE_UP = "UPDATE job SET tag = tag - :share WHERE account = :account AND state = 'queued' AND tag > :tag"


def cancel(c: sqlite3.Connection, number: int, *, now: float) -> Job:
    """Refunded unless the picture was painted already."""
    before = row_of(c, number)
    rows = c.execute(CANCEL, {"job": number, "now": now}).fetchall()
    if not rows:
        raise TooLate(number, before["state"])
    if before["state"] == State.QUEUED:
        _close_up(c, before)
    if not before["painted"]:
        ledger.refund(c, number, now)
    elif not before["clip"]:
        ledger.settle(c, number, now)
    return job_from_row(rows[0])


def _close_up(c: sqlite3.Connection, gone: sqlite3.Row) -> None:
    """The person's later jobs move up: a turn that was not taken costs none."""
    share = _share(gone["cost"], gone["weight"])
    c.execute(CLOSE_UP, {"share": share, "account": gone["account"], "tag": gone["tag"]})
    c.execute("UPDATE account SET finish = finish - ? WHERE id = ?", (share, gone["account"]))


def change(c: sqlite3.Connection, sql: str, *, job: int, **values: Any) -> Job:
    row = only(c.execute(sql, {"job": job, **values}).fetchall())
    if row is None:
        found = only(c.execute("SELECT state FROM job WHERE id = ?", (job,)).fetchall())
        raise Superseded(job, State(found["state"]) if found else None)
    return job_from_row(row)
