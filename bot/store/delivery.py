"""Delivery of clips. The intent to send is committed before the send, so that no clip is sent twice."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass

from bot.domain.jobs import Job, JobState
from bot.store import job_refunds, status_outbox
from bot.store.job_rows import job_from_row
from bot.store.queue import requeue_running, update_job
from generation.errors import ExplainedError

BEGIN = "UPDATE job SET state = 'delivering' WHERE id = :job AND state = 'rendered' RETURNING *"

MARK_NOT_SENT = "UPDATE job SET state = 'rendered' WHERE id = :job AND state = 'delivering' RETURNING *"

MARK_UNCERTAIN = "UPDATE job SET state = 'uncertain' WHERE id = :job AND state = 'delivering' RETURNING *"

SEND_AGAIN = "UPDATE job SET state = 'rendered' WHERE id = :job AND state = 'uncertain' RETURNING *"

MARK_DELIVERED = """
UPDATE job SET state = 'delivered', message = :message
WHERE id = :job AND state IN ('delivering', 'uncertain') RETURNING *
"""

MARK_UNDELIVERABLE = """
UPDATE job SET state = 'failed', error = :error
WHERE id = :job AND state IN ('rendered', 'delivering') RETURNING *
"""

RECOVER_DELIVERING = """
UPDATE job SET state = CASE
    WHEN json_extract(reply_to, '$.platform') IN (SELECT value FROM json_each(:platforms)) THEN 'rendered'
    ELSE 'uncertain' END
WHERE state = 'delivering' RETURNING id, state
"""


@dataclass(frozen=True, slots=True)
class Recovered:
    """The numbers of the jobs that the last run left unfinished."""

    requeued: tuple[int, ...]
    resent: tuple[int, ...]  # sent again: the platform drops duplicates
    uncertain: tuple[int, ...]


def begin(c: sqlite3.Connection, job: int) -> Job:
    return update_job(c, BEGIN, job=job)


def mark_not_sent(c: sqlite3.Connection, job: int) -> Job:
    return update_job(c, MARK_NOT_SENT, job=job)


def mark_uncertain(c: sqlite3.Connection, job: int) -> Job:
    status_outbox.add(c, job)
    return update_job(c, MARK_UNCERTAIN, job=job)


def send_again(c: sqlite3.Connection, job: int) -> Job:
    return update_job(c, SEND_AGAIN, job=job)


def mark_delivered(c: sqlite3.Connection, job: int, message: str) -> Job:
    return update_job(c, MARK_DELIVERED, job=job, message=message)


def mark_undeliverable(c: sqlite3.Connection, job: int, error: ExplainedError, *, now: float) -> Job:
    """The clip stays on disk; the job is refunded, since its user got no clip."""
    done = update_job(c, MARK_UNDELIVERABLE, job=job, error=json.dumps(error.to_json()))
    job_refunds.refund_job(c, job, now)
    status_outbox.add(c, job)
    return done


def undelivered(c: sqlite3.Connection) -> list[Job]:
    return [job_from_row(row) for row in c.execute("SELECT * FROM job WHERE state = 'rendered' ORDER BY id")]


def recover(c: sqlite3.Connection, deduplicating_platforms: Collection[str]) -> Recovered:
    """Requeue or resend what the last run left unfinished. Call it before any worker or send starts."""
    requeued = requeue_running(c, monotonic_now=0.0, include_leased=True)
    rows = c.execute(
        RECOVER_DELIVERING, {"platforms": json.dumps(sorted(deduplicating_platforms))}
    ).fetchall()
    for row in rows:
        if row["state"] == JobState.UNCERTAIN:
            status_outbox.add(c, row["id"])
    return Recovered(
        requeued=tuple(requeued),
        resent=tuple(row["id"] for row in rows if row["state"] == "rendered"),
        uncertain=tuple(row["id"] for row in rows if row["state"] == "uncertain"),
    )
