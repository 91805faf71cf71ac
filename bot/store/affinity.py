"""Jobs of a model that is loaded may go a little earlier: a load costs everybody more than a turn does."""

from __future__ import annotations

import sqlite3

MOST_PASSES = 2

FIRST = """
SELECT id, model, passed FROM job
WHERE state = 'queued' AND NOT EXISTS (SELECT 1 FROM fact WHERE name = 'paused' AND value = 'true')
ORDER BY tag, turn, id LIMIT ?
"""


def go_first(c: sqlite3.Connection, model: str, most: int) -> int | None:
    """The job of `model` whose turn it is made to be; None leaves the fair order.

    It goes before at most `most` older jobs, and no job is passed by more than `most` in all.
    """
    earlier: list[int] = []
    for job, its_model, passed in c.execute(FIRST, (most + 1,)).fetchall():
        if its_model == model:
            c.executemany("UPDATE job SET passed = passed + 1 WHERE id = ?", [(each,) for each in earlier])
            return int(job)
        if passed >= most:
            return None
        earlier.append(job)
    return None
