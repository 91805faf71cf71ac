"""How long things take, as measured here, and what that promises to those who wait."""

from __future__ import annotations

import math
import sqlite3
from dataclasses import dataclass

from generation.request import Request

IN_FRONT = """
WITH mine AS (
    SELECT id, state, started_at, tag, turn FROM job WHERE id = ? AND state IN ('running', 'queued')
),
line AS (
    SELECT job.* FROM job, mine WHERE job.state = 'running'
    AND (mine.state = 'queued' OR (job.started_at, job.id) <= (mine.started_at, mine.id))
    UNION ALL
    SELECT job.* FROM job, mine WHERE job.state = 'queued' AND mine.state = 'queued'
    AND (job.tag, job.turn, job.id) <= (mine.tag, mine.turn, mine.id)
)
SELECT model, kind, count(*) AS count, CASE state WHEN 'running' THEN started_at END AS since, work
FROM line GROUP BY model, kind, work, since
"""
"""Like jobs are counted together: a long line is weighed by the database, not read by Python."""

REMEMBERED = 60
LOOKED_AT = 2000
"""Older jobs tell little about today, and a look must stay quick when the house has made a million."""

TIMES = """
SELECT work, finished_at - started_at AS seconds FROM job
WHERE id > (SELECT max(id) FROM job) - ?3 AND model = ?1 AND kind = ?2
  AND state IN ('rendered', 'delivering', 'delivered', 'uncertain') AND started_at IS NOT NULL
ORDER BY id DESC LIMIT ?4
"""


@dataclass(frozen=True, slots=True)
class Eta:
    """Seconds until a job is likely done: rather a range that holds than a number that does not."""

    low: float
    high: float


def work_of(request: Request) -> float:
    return max(0.01, request.width * request.height * request.frames / 1e6)


def eta(c: sqlite3.Connection, number: int, *, slots: int, now: float) -> Eta | None:
    """None while nothing like the jobs in front was ever measured, or when it no longer waits."""
    line = c.execute(IN_FRONT, (number,)).fetchall()
    low = high = 0.0
    for model, kind, count, since, work in line:
        span = _span(c, model, kind, work)
        if span is None:
            return None
        spent = now - since if since else 0.0
        low += count * max(0.0, span.low - spent)
        high += count * max(span.high * 0.1, span.high - spent)
    ways = min(slots, sum(row["count"] for row in line))
    return Eta(low / ways, high / ways) if ways else None


def _span(c: sqlite3.Connection, model: str, kind: str, work: float) -> Eta | None:
    rows = c.execute(TIMES, (model, kind, LOOKED_AT, REMEMBERED)).fetchall()
    if not rows:
        return None
    times = sorted(_scaled(row["seconds"], work / row["work"]) for row in rows)
    low, high = times[len(times) // 5], times[min(len(times) - 1, math.ceil(len(times) * 0.9))]
    doubt = 1 + 1 / math.sqrt(len(times))  # few measurements promise little
    return Eta(low / doubt, high * doubt)


def _scaled(seconds: float, ratio: float) -> float:
    """A job twice as large takes about twice as long, but part of every job is the same for all."""
    return seconds * (0.2 + 0.8 * ratio)
