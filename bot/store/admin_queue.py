"""What an admin may do to the line and to jobs that were set aside."""

from __future__ import annotations

import json
import sqlite3

from bot.domain.errors import TooLate
from bot.domain.jobs import Job, State
from bot.store import ledger, queue, status_outbox
from bot.store.job_rows import job_from_row, only, row_of
from generation.errors import Told

LINE = "SELECT id, tag, turn FROM job WHERE state = 'queued' AND id <> ? ORDER BY tag, turn, id LIMIT ?"

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


def move(c: sqlite3.Connection, number: int, place: int) -> None:
    """Put a waiting job where `place` others are served before it, or at the end; raises TooLate."""
    state = row_of(c, number)["state"]
    if state != State.QUEUED:
        raise TooLate(number, state)
    line = c.execute(LINE, (number, place + 1)).fetchall()
    if not line:
        return
    if place >= len(line):
        tag, turn = line[-1]["tag"], line[-1]["turn"] + 1.0
    else:
        tag, turn = line[place]["tag"], _before(line, place)
    c.execute(MOVE, {"job": number, "tag": tag, "turn": turn})


def _before(line: list[sqlite3.Row], place: int) -> float:
    """A turn between that of the job now there and of the one before it, if they share a tag."""
    after = float(line[place]["turn"])
    if place and line[place - 1]["tag"] == line[place]["tag"]:
        return (float(line[place - 1]["turn"]) + after) / 2
    return after - 1.0


def clear(c: sqlite3.Connection, *, person: str | None, now: float) -> list[Job]:
    """Cancel and refund all that waits, or all of one person."""
    sql = (
        "SELECT id FROM job WHERE state = 'queued' AND (:person IS NULL OR person = :person) ORDER BY id DESC"
    )
    numbers = [row["id"] for row in c.execute(sql, {"person": person}).fetchall()]
    return [queue.cancel(c, number, now=now) for number in numbers]


def held(c: sqlite3.Connection) -> list[Job]:
    return [job_from_row(row) for row in c.execute("SELECT * FROM job WHERE state = 'held' ORDER BY id")]


def hold_clip(c: sqlite3.Connection, job: int, error: Told) -> Job:
    return queue.change(c, HOLD_CLIP, job=job, error=json.dumps(error.to_json()))


def release(c: sqlite3.Connection, number: int) -> Job:
    """Looked at and found fit: on to the chat, or back into the line."""
    return _decided(c, RELEASE, number)


def reject(c: sqlite3.Connection, number: int, error: Told, *, now: float) -> Job:
    """Looked at and not found fit: never sent, and refunded."""
    done = _decided(c, REJECT, number, error=json.dumps(error.to_json()), now=now)
    ledger.refund(c, number, now)
    status_outbox.owe(c, number)
    return done


def _decided(c: sqlite3.Connection, sql: str, number: int, **values: object) -> Job:
    state = row_of(c, number)["state"]
    row = only(c.execute(sql, {"job": number, **values}).fetchall())
    if row is None:
        raise TooLate(number, state)
    return job_from_row(row)
