"""What people say to the admins: reports of clips, and appeals against refusals."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from bot.domain.errors import NoSuchReport
from bot.store.job_rows import first_or_none

MAX_OPEN_APPEALS, MAX_OPEN_REPORTS = 3, 10
"""More than so many at a time would drown everybody else's."""
MAX_KEPT_REFUSALS = 10
"""So many of one person's are kept for an appeal."""
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
    """Write a refusal down, so that its person can appeal with one press."""
    sql = "INSERT INTO refusal (at, person, rule, words) VALUES (?, ?, ?, ?)"
    number = c.execute(sql, (now, person, rule, words)).lastrowid
    assert number is not None
    older = "SELECT id FROM refusal WHERE person = ? ORDER BY id DESC LIMIT -1 OFFSET ?"
    c.execute(f"DELETE FROM refusal WHERE id IN ({older})", (person, MAX_KEPT_REFUSALS))  # noqa: S608  (a constant)
    return number


def appealable_refusal(c: sqlite3.Connection, person: str, number: int, now: float) -> Refusal | None:
    """This refusal of the person's, or with 0 the last one; an old one can no longer be appealed."""
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
    """The number of a report or appeal; None where it was made before, or too many of theirs are open."""
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
    """Those that no admin has seen to, newest first."""
    sql = "SELECT id, at, kind, person, job, words FROM report WHERE done_at IS NULL ORDER BY id DESC LIMIT ?"
    return [FiledReport(**dict(row)) for row in c.execute(sql, (limit,))]


def close_report(c: sqlite3.Connection, number: int, now: float) -> FiledReport:
    """An admin has seen to it; raises NoSuchReport."""
    sql = "UPDATE report SET done_at = ? WHERE id = ? AND done_at IS NULL RETURNING *"
    row = first_or_none(c.execute(sql, (now, number)).fetchall())
    if row is None:
        raise NoSuchReport(number)
    return FiledReport(**{name: row[name] for name in ("id", "at", "kind", "person", "job", "words")})


def delete_personal_data(c: sqlite3.Connection, person: str) -> None:
    c.execute("DELETE FROM report WHERE person = ?", (person,))
    c.execute("DELETE FROM refusal WHERE person = ?", (person,))


def delete_expired(c: sqlite3.Connection, *, before: float | None, now: float) -> None:
    """Refusals once nobody can appeal; what an admin has seen to, with the clips of its time."""
    c.execute("DELETE FROM refusal WHERE at < ?", (now - APPEAL_SECONDS,))
    if before is not None:
        c.execute("DELETE FROM report WHERE done_at < ?", (before,))
