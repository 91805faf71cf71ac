"""Reports of clips, and appeals against refusals."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from bot.domain.errors import NoSuchReport, RateLimited
from bot.store.job_rows import first_or_none

MAX_OPEN_APPEALS, MAX_OPEN_REPORTS = 3, 10
"""At most so many of one user are open at a time, so that they do not crowd out those of others."""
MAX_KEPT_REFUSALS = 10
"""How many of one user's latest refusals are kept for an appeal."""
STRIKE_DELAY = 10.0
"""Seconds after a refusal within which its strike was recorded, if it brought one."""
APPEAL_SECONDS = 7 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FiledReport:
    id: int
    at: float
    kind: str  # "report" or "appeal"
    person: str
    job: int | None
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    id: int
    rule: str
    words: str


def record_refusal(c: sqlite3.Connection, *, person: str, rule: str, words: str, now: float) -> int:
    """Keep a refusal, so that the user can appeal with one button; returns its number."""
    sql = "INSERT INTO refusal (at, person, rule, words) VALUES (?, ?, ?, ?)"
    number = c.execute(sql, (now, person, rule, words)).lastrowid
    assert number is not None
    older = "SELECT id FROM refusal WHERE person = ? ORDER BY id DESC LIMIT -1 OFFSET ?"
    c.execute(f"DELETE FROM refusal WHERE id IN ({older})", (person, MAX_KEPT_REFUSALS))  # noqa: S608  (a constant)
    return number


def check_refusal_rate(c: sqlite3.Connection, person: str, *, burst: int, seconds: float, now: float) -> None:
    """Raises RateLimited if so many prompts of this user were refused within so many seconds."""
    burst = min(burst, MAX_KEPT_REFUSALS)
    recent = "SELECT at FROM refusal WHERE person = ? AND at > ? AND at <= ? ORDER BY id DESC LIMIT ?"
    times = [row["at"] for row in c.execute(recent, (person, now - seconds, now, burst))]
    if len(times) >= burst:
        raise RateLimited(burst, seconds, times[-1] + seconds)


def is_struck_for(c: sqlite3.Connection, report: int) -> bool:
    """Whether the refusal that this appeal is about brought a strike at once."""
    sql = (
        "SELECT 1 FROM report JOIN refusal ON refusal.id = report.refusal JOIN strike USING (person)"
        " WHERE report.id = ? AND strike.at BETWEEN refusal.at AND refusal.at + ?"
    )
    return c.execute(sql, (report, STRIKE_DELAY)).fetchone() is not None


def appealable_refusal(c: sqlite3.Connection, person: str, number: int, now: float) -> Refusal | None:
    """That refusal of the user, or the latest one for 0; None once it is too old to appeal."""
    sql = (
        "SELECT id, rule, words FROM refusal WHERE person = ? AND (? = 0 OR id = ?) AND at > ?"
        " ORDER BY id DESC LIMIT 1"
    )
    row = first_or_none(c.execute(sql, (person, number, number, now - APPEAL_SECONDS)).fetchall())
    return Refusal(**dict(row)) if row else None


def file_report(
    c: sqlite3.Connection,
    kind: str,
    *,
    person: str,
    words: str,
    now: float,
    job: int | None = None,
    refusal_id: int | None = None,
) -> int | None:
    """File a report or appeal and return its number.

    None if it was filed before, or if the user has too many open ones.
    """
    max_open = MAX_OPEN_APPEALS if kind == "appeal" else MAX_OPEN_REPORTS
    count = "SELECT count(*) FROM report WHERE person = ? AND kind = ? AND done_at IS NULL"
    if c.execute(count, (person, kind)).fetchone()[0] >= max_open:
        return None
    sql = (
        "INSERT INTO report (at, kind, person, job, words, refusal) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING RETURNING id"
    )
    row = first_or_none(c.execute(sql, (now, kind, person, job, words[:1000], refusal_id)).fetchall())
    return row["id"] if row else None


def open_reports(c: sqlite3.Connection, limit: int) -> list[FiledReport]:
    """The newest reports and appeals that no admin has closed."""
    sql = "SELECT id, at, kind, person, job, words FROM report WHERE done_at IS NULL ORDER BY id DESC LIMIT ?"
    return [FiledReport(**dict(row)) for row in c.execute(sql, (limit,))]


def close_report(c: sqlite3.Connection, number: int, now: float) -> FiledReport:
    """Close a report or appeal. Raises NoSuchReport if there is no open one with this number."""
    sql = "UPDATE report SET done_at = ? WHERE id = ? AND done_at IS NULL RETURNING *"
    row = first_or_none(c.execute(sql, (now, number)).fetchall())
    if row is None:
        raise NoSuchReport(number)
    return FiledReport(**{name: row[name] for name in ("id", "at", "kind", "person", "job", "words")})


def delete_personal_data(c: sqlite3.Connection, person: str, now: float) -> None:
    c.execute("DELETE FROM report WHERE person = ? AND at <= ?", (person, now))
    c.execute("DELETE FROM refusal WHERE person = ? AND at <= ?", (person, now))


def delete_expired(c: sqlite3.Connection, *, before: float | None, now: float) -> None:
    """Delete refusals that are too old to appeal, and reports that were closed `before`."""
    c.execute("DELETE FROM refusal WHERE at < ?", (now - APPEAL_SECONDS,))
    if before is not None:
        c.execute("DELETE FROM report WHERE done_at < ?", (before,))
