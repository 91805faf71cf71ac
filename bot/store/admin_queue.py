"""Admin changes to the queue and to held jobs."""

from __future__ import annotations

import json
import sqlite3

from bot.domain.errors import TooLate
from bot.domain.jobs import Job, JobState
from bot.store import job_refunds, queue, status_outbox
from bot.store.job_rows import first_or_none, job_from_row, job_row
from generation.errors import ExplainedError

OTHER_QUEUED = (
    "SELECT id, tag, turn FROM job WHERE state = 'queued' AND id <> ? ORDER BY tag, turn, id LIMIT ?"
)

MOVE = "UPDATE job SET tag = :tag, turn = :turn WHERE id = :job AND state = 'queued'"

RELEASE = """
UPDATE job SET state = iif(clip IS NULL, 'queued', 'rendered'), attempt = 0, error = NULL,
               started_at = iif(clip IS NULL, NULL, started_at)
WHERE id = :job AND state = 'held' RETURNING *
"""

REJECT = """
UPDATE job SET state = 'failed', error = :error, finished_at = :now
WHERE id = :job AND state = 'held' RETURNING *
"""

HOLD_CLIP = """
UPDATE job SET state = 'held', error = :error WHERE id = :job AND state = 'rendered' RETURNING *
"""


def move_in_queue(c: sqlite3.Connection, number: int, position: int) -> None:
    """Move a queued job so that `position` others are ahead of it, at most to the end; raises TooLate."""
    state = job_row(c, number)["state"]
    if state != JobState.QUEUED:
        raise TooLate(number, state)
    queued = c.execute(OTHER_QUEUED, (number, position + 1)).fetchall()
    if not queued:
        return
    if position >= len(queued):
        tag, turn = queued[-1]["tag"], queued[-1]["turn"] + 1.0
    else:
        tag, turn = queued[position]["tag"], _turn_before(queued, position)
    c.execute(MOVE, {"job": number, "tag": tag, "turn": turn})


def _turn_before(queued: list[sqlite3.Row], position: int) -> float:
    """A turn between those of the job at `position` and of the job before it, if both have one tag."""
    after = float(queued[position]["turn"])
    if position and queued[position - 1]["tag"] == queued[position]["tag"]:
        return (float(queued[position - 1]["turn"]) + after) / 2
    return after - 1.0


def cancel_queued(c: sqlite3.Connection, *, person: str | None, now: float) -> list[Job]:
    """Cancel and refund all queued jobs, or those of one user."""
    return [queue.cancel(c, number, now=now) for number in queued_numbers(c, person)]


def queued_numbers(c: sqlite3.Connection, person: str | None) -> list[int]:
    """The queued jobs, or those of one user, newest first."""
    sql = (
        "SELECT id FROM job WHERE state = 'queued' AND (:person IS NULL OR person = :person) ORDER BY id DESC"
    )
    return [row["id"] for row in c.execute(sql, {"person": person}).fetchall()]


def held_jobs(c: sqlite3.Connection) -> list[Job]:
    return [job_from_row(row) for row in c.execute("SELECT * FROM job WHERE state = 'held' ORDER BY id")]


def hold_clip(c: sqlite3.Connection, job: int, error: ExplainedError) -> Job:
    return queue.update_job(c, HOLD_CLIP, job=job, error=json.dumps(error.to_json()))


def release(c: sqlite3.Connection, number: int) -> Job:
    """Deliver the held clip, or queue the held job again if it has no clip."""
    return _decide(c, RELEASE, number)


def reject(c: sqlite3.Connection, number: int, error: ExplainedError, *, now: float) -> Job:
    """Fail a held job and refund it; its clip is never sent."""
    done = _decide(c, REJECT, number, error=json.dumps(error.to_json()), now=now)
    job_refunds.refund_job(c, number, now)
    status_outbox.add(c, number)
    return done


def _decide(c: sqlite3.Connection, sql: str, number: int, **values: object) -> Job:
    state = job_row(c, number)["state"]
    row = first_or_none(c.execute(sql, {"job": number, **values}).fetchall())
    if row is None:
        raise TooLate(number, state)
    return job_from_row(row)
