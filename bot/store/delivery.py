"""From a finished clip to a chat that has it: the intent is written before the send, so none goes twice."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass

from bot.domain.jobs import Job, State
from bot.store import ledger, status_outbox
from bot.store.job_rows import job_from_row
from bot.store.queue import change, free
from generation.errors import Told

BEGIN = "UPDATE job SET state = 'delivering' WHERE id = :job AND state = 'rendered' RETURNING *"

NOT_SENT = "UPDATE job SET state = 'rendered' WHERE id = :job AND state = 'delivering' RETURNING *"

DOUBTFUL = "UPDATE job SET state = 'uncertain' WHERE id = :job AND state = 'delivering' RETURNING *"

SEND_AGAIN = "UPDATE job SET state = 'rendered' WHERE id = :job AND state = 'uncertain' RETURNING *"

DELIVERED = """
UPDATE job SET state = 'delivered', message = :message
WHERE id = :job AND state IN ('delivering', 'uncertain') RETURNING *
"""

FAILED = """
UPDATE job SET state = 'failed', error = :error
WHERE id = :job AND state IN ('rendered', 'delivering') RETURNING *
"""

SORT_OUT = """
UPDATE job SET state = CASE
    WHEN json_extract(reply_to, '$.platform') IN (SELECT value FROM json_each(:platforms)) THEN 'rendered'
    ELSE 'uncertain' END
WHERE state = 'delivering' RETURNING id, state
"""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a start found half done, by job number."""

    requeued: tuple[int, ...]
    resent: tuple[int, ...]  # will be sent again: the chat shows one nonce once
    uncertain: tuple[int, ...]


def begin(c: sqlite3.Connection, job: int) -> Job:
    return change(c, BEGIN, job=job)


def not_sent(c: sqlite3.Connection, job: int) -> Job:
    return change(c, NOT_SENT, job=job)


def doubtful(c: sqlite3.Connection, job: int) -> Job:
    status_outbox.owe(c, job)
    return change(c, DOUBTFUL, job=job)


def send_again(c: sqlite3.Connection, job: int) -> Job:
    return change(c, SEND_AGAIN, job=job)


def delivered(c: sqlite3.Connection, job: int, message: str) -> Job:
    return change(c, DELIVERED, job=job, message=message)


def failed(c: sqlite3.Connection, job: int, error: Told, *, now: float) -> Job:
    """The clip stays on the disk, and a clip that nobody got costs nothing."""
    done = change(c, FAILED, job=job, error=json.dumps(error.to_json()))
    ledger.refund(c, job, now)
    status_outbox.owe(c, job)
    return done


def undelivered(c: sqlite3.Connection) -> list[Job]:
    return [job_from_row(row) for row in c.execute("SELECT * FROM job WHERE state = 'rendered' ORDER BY id")]


def recover(c: sqlite3.Connection, deduplicating: Collection[str]) -> Recovered:
    """Sort out what the last run left: only at a start, when no worker and no send is alive."""
    requeued = free(c, steady=0.0, every=True)
    rows = c.execute(SORT_OUT, {"platforms": json.dumps(sorted(deduplicating))}).fetchall()
    for row in rows:
        if row["state"] == State.UNCERTAIN:
            status_outbox.owe(c, row["id"])
    return Recovered(
        requeued=tuple(requeued),
        resent=tuple(row["id"] for row in rows if row["state"] == "rendered"),
        uncertain=tuple(row["id"] for row in rows if row["state"] == "uncertain"),
    )
