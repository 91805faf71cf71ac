"""Prefer jobs of the loaded model: loading another model costs every user more than one turn does."""

from __future__ import annotations

import sqlite3

MAX_PASSES = 2

NEXT_QUEUED = """
SELECT id, model, passed FROM job
WHERE state = 'queued' AND NOT EXISTS (SELECT 1 FROM fact WHERE name = 'paused' AND value = 'true')
ORDER BY tag, turn, id LIMIT ?
"""


def pick_preferred_job(c: sqlite3.Connection, model: str, max_passes: int) -> int | None:
    """The job of `model` to run next; None keeps the fair order.

    It overtakes at most `max_passes` older jobs, and no job is overtaken more than `max_passes` times.
    """
    passed_over: list[int] = []
    for job, its_model, passed in c.execute(NEXT_QUEUED, (max_passes + 1,)).fetchall():
        if its_model == model:
            c.executemany(
                "UPDATE job SET passed = passed + 1 WHERE id = ?", [(each,) for each in passed_over]
            )
            return int(job)
        if passed >= max_passes:
            return None
        passed_over.append(job)
    return None
