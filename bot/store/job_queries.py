"""Read-only queries about jobs."""

from __future__ import annotations

import sqlite3

from bot.domain.jobs import Job, JobState
from bot.store import people
from bot.store.job_rows import job_from_row, job_row

COUNT_AHEAD = """
SELECT count(*) FROM job
WHERE state = 'queued' AND (tag, turn, id) < (SELECT tag, turn, id FROM job WHERE id = ?)
"""

RUNNING_THEN_QUEUED = """
SELECT * FROM (SELECT * FROM job WHERE state = 'running' ORDER BY started_at, id)
UNION ALL
SELECT * FROM (SELECT * FROM job WHERE state = 'queued' ORDER BY tag, turn, id LIMIT :limit)
LIMIT :limit
"""


def job(c: sqlite3.Connection, number: int) -> Job:
    return job_from_row(job_row(c, number))


def queue_position(c: sqlite3.Connection, number: int) -> int | None:
    """How many queued jobs are ahead of it; None if it is not queued."""
    if job_row(c, number)["state"] != JobState.QUEUED:
        return None
    ahead: int = c.execute(COUNT_AHEAD, (number,)).fetchone()[0]
    return ahead


def running_then_queued(c: sqlite3.Connection, limit: int) -> list[Job]:
    """The running jobs, then the queued ones, in the order in which they will run."""
    return [job_from_row(row) for row in c.execute(RUNNING_THEN_QUEUED, {"limit": limit})]


QUEUED_AND_RUNNING = """
SELECT count(*) FILTER (WHERE state = 'queued'), count(*) FILTER (WHERE state = 'running') FROM job
WHERE state IN ('queued', 'running')
"""


def queued_and_running(c: sqlite3.Connection) -> tuple[int, int]:
    """How many jobs are queued, and how many are running."""
    queued, running = c.execute(QUEUED_AND_RUNNING).fetchone()
    return queued, running


def history(c: sqlite3.Connection, key: str, limit: int) -> list[Job]:
    """The user's jobs on all linked platforms, newest first."""
    account = people.find_account(c, key)
    if account is None:
        return []
    rows = c.execute("SELECT * FROM job WHERE account = ? ORDER BY id DESC LIMIT ?", (account, limit))
    return [job_from_row(row) for row in rows]
