"""How long things take, as measured here, and what that promises to those who wait."""

from __future__ import annotations

import math
import sqlite3
from dataclasses import dataclass

from bot.job import Job
from bot.store import looks
from generation.request import Request

REMEMBERED = 60
TIDY_EVERY = 32


@dataclass(frozen=True, slots=True)
class Eta:
    """Seconds until a job is likely done: rather a range that holds than a number that does not."""

    low: float
    high: float


def work_of(request: Request) -> float:
    return max(0.01, request.width * request.height * request.frames / 1e6)


def measured(c: sqlite3.Connection, job: Job, *, seconds: float) -> None:
    values = (job.request.model, job.request.kind.value)
    added = c.execute(
        "INSERT INTO pace (model, kind, work, seconds) VALUES (?, ?, ?, ?)",
        (*values, work_of(job.request), seconds),
    )
    if added.lastrowid is None or added.lastrowid % TIDY_EVERY:
        return
    c.execute(
        "DELETE FROM pace WHERE model = ? AND kind = ? AND id <="
        " (SELECT id FROM pace WHERE model = ? AND kind = ? ORDER BY id DESC LIMIT 1 OFFSET ?)",
        (*values, *values, REMEMBERED),
    )


def eta(c: sqlite3.Connection, number: int, *, slots: int, now: float) -> Eta | None:
    """None while nothing like the jobs in front was ever measured, or when it no longer waits."""
    line = looks.waiting(c, 10_000)
    place = next((index for index, job in enumerate(line) if job.id == number), None)
    if place is None:
        return None
    low = high = 0.0
    for job in line[: place + 1]:
        span = _span(c, job.request)
        if span is None:
            return None
        spent = now - job.started_at if job.started_at else 0.0
        low += max(0.0, span.low - spent)
        high += max(span.high * 0.1, span.high - spent)
    ways = min(slots, place + 1)
    return Eta(low / ways, high / ways)


def _span(c: sqlite3.Connection, request: Request) -> Eta | None:
    rows = c.execute(
        "SELECT work, seconds FROM pace WHERE model = ? AND kind = ? ORDER BY id DESC LIMIT ?",
        (request.model, request.kind.value, REMEMBERED),
    ).fetchall()
    if not rows:
        return None
    work = work_of(request)
    times = sorted(_scaled(row["seconds"], work / row["work"]) for row in rows)
    low, high = times[len(times) // 5], times[min(len(times) - 1, math.ceil(len(times) * 0.9))]
    doubt = 1 + 1 / math.sqrt(len(times))  # few measurements promise little
    return Eta(low / doubt, high * doubt)


def _scaled(seconds: float, ratio: float) -> float:
    """A job twice as large takes about twice as long, but part of every job is the same for all."""
    return seconds * (0.2 + 0.8 * ratio)
