"""The outbox of final statuses: jobs that ended without a clip and whose users have not been told yet."""

from __future__ import annotations

import json
import sqlite3

from bot.domain.jobs import Job
from bot.store.connection import platforms_without_final_status
from bot.store.job_rows import job_from_row

PENDING_JOBS = """
SELECT job.* FROM unsaid JOIN job ON job.id = unsaid.job
WHERE job.state IN ('failed', 'uncertain', 'cancelled')
ORDER BY job.id
"""


ADD = """
INSERT OR IGNORE INTO unsaid
SELECT id FROM job WHERE id = ? AND reply_to ->> '$.platform' NOT IN (SELECT value FROM json_each(?))
"""


def add(c: sqlite3.Connection, job: int) -> None:
    """Call this in the transaction that ends the job without a clip."""
    c.execute(ADD, (job, json.dumps(sorted(platforms_without_final_status(c)))))


def pending_jobs(c: sqlite3.Connection) -> list[Job]:
    return [job_from_row(row) for row in c.execute(PENDING_JOBS).fetchall()]


def is_pending(c: sqlite3.Connection, job: int) -> bool:
    return c.execute("SELECT 1 FROM unsaid WHERE job = ?", (job,)).fetchone() is not None


def remove(c: sqlite3.Connection, job: int) -> None:
    c.execute("DELETE FROM unsaid WHERE job = ?", (job,))
