"""The queue: claim the next job, and record how its run ends."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from bot.domain.errors import TooLate
from bot.domain.jobs import Job, JobState
from bot.store import job_refunds, ledger, status_outbox
from bot.store.connection import simulated_sqlite_error, tuple_cursor
from bot.store.enqueue import virtual_cost
from bot.store.job_rows import (
    Superseded,
    as_json,
    decode_reply_to,
    decode_request,
    decode_requester,
    first_or_none,
    job_from_row,
    job_row,
)
from generation.clip import Clip
from generation.errors import ExplainedError
from generation.failpoint import FailPoint, pass_failpoint

SELECT_QUEUED = """
SELECT (SELECT tag FROM virtual_time WHERE now < tag), id, request, requester, reply_to,
       cost, attempt, epoch, created_at, parent
FROM job WHERE state = 'queued'
"""
"""A queued job, and the virtual time that its claim sets; a queued job has none of the other columns."""

NOT_PAUSED = "NOT EXISTS (SELECT 1 FROM fact WHERE name = 'paused' AND value = 'true')"

SELECT_NEXT = f"{SELECT_QUEUED} AND {NOT_PAUSED} ORDER BY tag, turn, id LIMIT 1"

SELECT_ONE = f"{SELECT_QUEUED} AND id = ?"

CLAIM = """
UPDATE job SET state = 'running', epoch = epoch + 1, lease_until = ?2, started_at = ?3, painted = 0
WHERE id = ?1
"""


def claim(c: sqlite3.Connection, *, until: float, only_job: int | None = None, now: float) -> Job | None:
    """Claim the next job in fair order, or `only_job`; None if no job, or not that one, is queued."""
    cursor = tuple_cursor(c)
    row = (
        cursor.execute(SELECT_NEXT) if only_job is None else cursor.execute(SELECT_ONE, (only_job,))
    ).fetchone()
    if row is None:
        return None
    pass_failpoint(FailPoint.CLAIM, simulated_sqlite_error)
    new_virtual_time, number, request, requester, reply_to, cost, attempt, epoch, created_at, parent = row
    cursor.execute(CLAIM, (number, until, now))
    if new_virtual_time is not None:
        cursor.execute("UPDATE virtual_time SET now = ?", (new_virtual_time,))
    return Job(
        id=number,
        request=decode_request(request),
        requester=decode_requester(requester),
        reply_to=decode_reply_to(reply_to),
        state=JobState.RUNNING,
        cost=cost,
        attempt=attempt,
        epoch=epoch + 1,
        created_at=created_at,
        started_at=now,
        parent=parent,
    )


RENEW = "UPDATE job SET lease_until = :until WHERE id = :job AND epoch = :epoch AND state = 'running'"

MARK_PICTURE_DONE = (
    "UPDATE job SET painted = 1 WHERE id = :job AND epoch = :epoch AND state = 'running' RETURNING *"
)

MARK_RENDERED = """
UPDATE job SET state = 'rendered', clip = ?3, finished_at = ?4, lease_until = NULL, painted = 1
WHERE id = ?1 AND epoch = ?2 AND state = 'running'
"""

MARK_FAILED = """
UPDATE job SET state = 'failed', error = :error, finished_at = :now, lease_until = NULL
WHERE id = :job AND epoch = :epoch AND state = 'running' RETURNING *
"""

REQUEUED = """
UPDATE job SET state = 'queued', attempt = attempt + :guilty,
               lease_until = NULL, started_at = NULL, painted = 0
WHERE id = :job AND epoch = :epoch AND state = 'running' RETURNING *
"""

REQUEUE_RUNNING = """
UPDATE job SET state = 'queued', lease_until = NULL, started_at = NULL, painted = 0
WHERE state = 'running' AND (lease_until < :steady OR :all) RETURNING id
"""


def renew(c: sqlite3.Connection, job: int, epoch: int, *, until: float) -> bool:
    return c.execute(RENEW, {"job": job, "epoch": epoch, "until": until}).rowcount == 1


def mark_picture_done(c: sqlite3.Connection, job: int, epoch: int) -> Job:
    return update_job(c, MARK_PICTURE_DONE, job=job, epoch=epoch)


def mark_rendered(c: sqlite3.Connection, job: int, epoch: int, clip: Clip, *, now: float) -> None:
    cursor = tuple_cursor(c)
    if cursor.execute(MARK_RENDERED, (job, epoch, as_json(clip), now)).rowcount != 1:
        raise _superseded(c, job)
    ledger.settle(cursor, job, now)


def mark_failed(c: sqlite3.Connection, job: int, epoch: int, error: ExplainedError, *, now: float) -> Job:
    done = update_job(c, MARK_FAILED, job=job, epoch=epoch, error=json.dumps(error.to_json()), now=now)
    job_refunds.refund_job(c, job, now)
    status_outbox.add(c, job)
    return done


def requeue(c: sqlite3.Connection, job: int, epoch: int, *, guilty: bool) -> Job:
    return update_job(c, REQUEUED, job=job, epoch=epoch, guilty=int(guilty))


def requeue_running(c: sqlite3.Connection, *, monotonic_now: float, include_leased: bool) -> list[int]:
    """Requeue running jobs whose lease expired, or all of them, without counting an attempt."""
    return [
        row["id"]
        for row in c.execute(
            REQUEUE_RUNNING, {"steady": monotonic_now, "all": int(include_leased)}
        ).fetchall()
    ]


CANCEL = """
UPDATE job SET state = 'cancelled', finished_at = :now, lease_until = NULL
WHERE id = :job AND state IN ('queued', 'running', 'held') RETURNING *
"""

MOVE_UP_LATER_JOBS = (
    "UPDATE job SET tag = tag - :share WHERE account = :account AND state = 'queued' AND tag > :tag"
)


def cancel(c: sqlite3.Connection, number: int, *, now: float) -> Job:
    """Cancel a job; it is refunded unless its picture is done. Raises NoSuchJob or TooLate."""
    before = job_row(c, number)
    rows = c.execute(CANCEL, {"job": number, "now": now}).fetchall()
    if not rows:
        raise TooLate(number, before["state"])
    status_outbox.add(c, number)
    if before["state"] == JobState.QUEUED:
        _move_up_later_jobs(c, before)
    if not before["painted"]:
        job_refunds.refund_job(c, number, now)
    elif not before["clip"]:
        ledger.settle(c, number, now)
    return job_from_row(rows[0])


def _move_up_later_jobs(c: sqlite3.Connection, cancelled: sqlite3.Row) -> None:
    """Move the account's later jobs up: the cancelled job used no turn."""
    freed = virtual_cost(cancelled["cost"], cancelled["weight"])
    c.execute(MOVE_UP_LATER_JOBS, {"share": freed, "account": cancelled["account"], "tag": cancelled["tag"]})
    c.execute("UPDATE account SET finish = finish - ? WHERE id = ?", (freed, cancelled["account"]))


def update_job(c: sqlite3.Connection, sql: str, *, job: int, **values: Any) -> Job:
    row = first_or_none(c.execute(sql, {"job": job, **values}).fetchall())
    if row is None:
        raise _superseded(c, job)
    return job_from_row(row)


def _superseded(c: sqlite3.Connection, job: int) -> Superseded:
    found = first_or_none(c.execute("SELECT state FROM job WHERE id = ?", (job,)).fetchall())
    return Superseded(job, JobState(found["state"]) if found else None)
