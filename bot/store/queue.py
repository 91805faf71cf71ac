"""The line in front of the engine: who is next, and how a turn ends."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from bot.domain.errors import TooLate
from bot.domain.jobs import Job, State
from bot.store import ledger, status_outbox
from bot.store.connection import ill, plain
from bot.store.enqueue import share
from bot.store.job_rows import (
    Superseded,
    as_json,
    job_from_row,
    only,
    reply_to_from,
    request_from,
    requester_from,
    row_of,
)
from generation.clip import Clip
from generation.errors import Told
from generation.failpoint import Place, here

READY = """
SELECT (SELECT tag FROM virtual_time WHERE now < tag), id, request, requester, reply_to,
       cost, attempt, epoch, created_at, parent
FROM job WHERE state = 'queued'
"""
"""What its turn moves the virtual time to, and a job that waits: what is not named it has none of yet."""

NOT_PAUSED = "NOT EXISTS (SELECT 1 FROM fact WHERE name = 'paused' AND value = 'true')"

HEAD = f"{READY} AND {NOT_PAUSED} ORDER BY tag, turn, id LIMIT 1"

THIS = f"{READY} AND id = ?"

CLAIM = """
UPDATE job SET state = 'running', epoch = epoch + 1, lease_until = ?2, started_at = ?3, painted = 0
WHERE id = ?1
"""


def claim(c: sqlite3.Connection, *, until: float, this: int | None = None, now: float) -> Job | None:
    """The next in fair order, or `this` one whose turn ever it is; None when it or nothing waits."""
    cursor = plain(c)
    row = (cursor.execute(HEAD) if this is None else cursor.execute(THIS, (this,))).fetchone()
    if row is None:
        return None
    here(Place.CLAIM, ill)
    later, number, request, requester, reply_to, cost, attempt, epoch, created_at, parent = row
    cursor.execute(CLAIM, (number, until, now))
    if later is not None:
        cursor.execute("UPDATE virtual_time SET now = ?", (later,))
    return Job(
        id=number,
        request=request_from(request),
        requester=requester_from(requester),
        reply_to=reply_to_from(reply_to),
        state=State.RUNNING,
        cost=cost,
        attempt=attempt,
        epoch=epoch + 1,
        created_at=created_at,
        started_at=now,
        parent=parent,
    )


RENEW = "UPDATE job SET lease_until = :until WHERE id = :job AND epoch = :epoch AND state = 'running'"

PAINTED = "UPDATE job SET painted = 1 WHERE id = :job AND epoch = :epoch AND state = 'running' RETURNING *"

RENDERED = """
UPDATE job SET state = 'rendered', clip = ?3, finished_at = ?4, lease_until = NULL, painted = 1
WHERE id = ?1 AND epoch = ?2 AND state = 'running'
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


def rendered(c: sqlite3.Connection, job: int, epoch: int, clip: Clip, *, now: float) -> None:
    cursor = plain(c)
    if cursor.execute(RENDERED, (job, epoch, as_json(clip), now)).rowcount != 1:
        raise _superseded(c, job)
    ledger.settle(cursor, job, now)


def failed(c: sqlite3.Connection, job: int, epoch: int, error: Told, *, now: float) -> Job:
    done = change(c, FAILED, job=job, epoch=epoch, error=json.dumps(error.to_json()), now=now)
    ledger.refund(c, job, now)
    status_outbox.owe(c, job)
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
    status_outbox.owe(c, number)
    if before["state"] == State.QUEUED:
        _close_up(c, before)
    if not before["painted"]:
        ledger.refund(c, number, now)
    elif not before["clip"]:
        ledger.settle(c, number, now)
    return job_from_row(rows[0])


def _close_up(c: sqlite3.Connection, gone: sqlite3.Row) -> None:
    """The person's later jobs move up: a turn that was not taken costs none."""
    freed = share(gone["cost"], gone["weight"])
    c.execute(CLOSE_UP, {"share": freed, "account": gone["account"], "tag": gone["tag"]})
    c.execute("UPDATE account SET finish = finish - ? WHERE id = ?", (freed, gone["account"]))


def change(c: sqlite3.Connection, sql: str, *, job: int, **values: Any) -> Job:
    row = only(c.execute(sql, {"job": job, **values}).fetchall())
    if row is None:
        raise _superseded(c, job)
    return job_from_row(row)


def _superseded(c: sqlite3.Connection, job: int) -> Superseded:
    found = only(c.execute("SELECT state FROM job WHERE id = ?", (job,)).fetchall())
    return Superseded(job, State(found["state"]) if found else None)
