"""Estimate when a job will be done, from the measured durations of earlier jobs."""

from __future__ import annotations

import math
import sqlite3
from dataclasses import dataclass

from generation.request import Request

JOBS_UP_TO = """
WITH target AS (
    SELECT id, state, started_at, tag, turn FROM job WHERE id = ? AND state IN ('running', 'queued')
),
ahead AS (
    SELECT job.* FROM job, target WHERE job.state = 'running'
    AND (target.state = 'queued' OR (job.started_at, job.id) <= (target.started_at, target.id))
    UNION ALL
    SELECT job.* FROM job, target WHERE job.state = 'queued' AND target.state = 'queued'
    AND (job.tag, job.turn, job.id) <= (target.tag, target.turn, target.id)
)
SELECT model, kind, count(*) AS count, CASE state WHEN 'running' THEN started_at END AS since, work
FROM ahead GROUP BY model, kind, work, since
"""
"""Similar jobs are grouped, so that Python does not read every row of a long queue."""

MAX_SAMPLES = 60
LOOKBACK_JOBS = 2000
"""Older jobs are poor predictors, and the query must stay fast in a database of a million jobs."""

RECENT_DURATIONS = """
SELECT work, finished_at - started_at AS seconds FROM job
WHERE id > (SELECT max(id) FROM job) - ?3 AND model = ?1 AND kind = ?2
  AND state IN ('rendered', 'delivering', 'delivered', 'uncertain') AND started_at IS NOT NULL
ORDER BY id DESC LIMIT ?4
"""


@dataclass(frozen=True, slots=True)
class Eta:
    """Seconds until a job is likely done, as a range."""

    low: float
    high: float


def megapixels(request: Request) -> float:
    return max(0.01, request.width * request.height * request.frames / 1e6)


def eta(c: sqlite3.Connection, number: int, *, slots: int, now: float) -> Eta | None:
    """None if no job similar to those ahead was measured, or if the job is neither queued nor running."""
    groups = c.execute(JOBS_UP_TO, (number,)).fetchall()
    low = high = 0.0
    for model, kind, count, since, work in groups:
        span = _duration_range(c, model, kind, work)
        if span is None:
            return None
        spent = now - since if since else 0.0
        low += count * max(0.0, span.low - spent)
        high += count * max(span.high * 0.1, span.high - spent)
    parallel = min(slots, sum(row["count"] for row in groups))
    return Eta(low / parallel, high / parallel) if parallel else None


def _duration_range(c: sqlite3.Connection, model: str, kind: str, work: float) -> Eta | None:
    rows = c.execute(RECENT_DURATIONS, (model, kind, LOOKBACK_JOBS, MAX_SAMPLES)).fetchall()
    if not rows:
        return None
    times = sorted(_scale_duration(row["seconds"], work / row["work"]) for row in rows)
    low, high = times[len(times) // 5], times[min(len(times) - 1, math.ceil(len(times) * 0.9))]
    margin = 1 + 1 / math.sqrt(len(times))  # fewer measurements give a wider range
    return Eta(low / margin, high * margin)


def _scale_duration(seconds: float, ratio: float) -> float:
    """A job twice as large takes about twice as long, but part of the time is the same for every job."""
    return seconds * (0.2 + 0.8 * ratio)
