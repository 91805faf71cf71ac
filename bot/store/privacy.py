"""Export and delete personal data, and delete expired data. Ledger and statistics stay correct."""

from __future__ import annotations

import json
import secrets
import sqlite3
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from bot.store import admin_decisions, ledger, links, people, reports
from bot.store.deletion_list import DeletionList
from bot.store.job_rows import first_or_none

FORGOTTEN_SECONDS = 32 * 86_400.0
FINISHED = "('delivered', 'uncertain', 'failed', 'cancelled')"
DELETED_PERSON = "gone:0"
STATUS_PATIENCE = 7 * 86_400.0
"""Seconds after which a deleted user's job is blanked although its final status could not be shown."""
BLANK_NOW = f"""
id IN (SELECT job FROM blank_at_end) AND state IN {FINISHED}
AND (id NOT IN (SELECT job FROM unsaid) OR finished_at < ?)
"""  # noqa: S608  (a constant)
PAYMENTS = "SELECT name, credits, state FROM payment WHERE payer = ? ORDER BY id"


@dataclass(frozen=True, slots=True)
class DeletedData:
    """How many jobs lost their content, the clip files to delete, and the users linked until then."""

    jobs: int = 0
    files: tuple[str, ...] = field(default_factory=tuple)
    unlinked: tuple[str, ...] = ()


def export(c: sqlite3.Connection, key: str) -> dict[str, Any]:
    """Everything that is stored about the user."""
    person = first_or_none(c.execute("SELECT * FROM person WHERE key = ?", (key,)).fetchall())
    columns = "id, state, request, requester, reply_to, cost, created_at, finished_at, clip, error, parent"
    jobs = c.execute(f"SELECT {columns} FROM job WHERE person = ? ORDER BY id", (key,))  # noqa: S608  (names above)
    found = people.find_account(c, key)
    entries = ledger.entries(c, found, -1) if found else []
    return {
        "person": dict(person) if person else None,
        "linked": links.linked_keys(c, key),
        "jobs": [_decode_job(row) for row in jobs],
        "credits": [asdict(entry) for entry in entries],
        "payments": [dict(row) for row in c.execute(PAYMENTS, (key,))],
        "blocks": [dict(row) for row in c.execute("SELECT * FROM block WHERE person = ?", (key,))],
        "reports": [dict(row) for row in c.execute("SELECT * FROM report WHERE person = ?", (key,))],
        "refusals": [dict(row) for row in c.execute("SELECT * FROM refusal WHERE person = ?", (key,))],
        "strikes": [dict(row) for row in c.execute("SELECT rule, at FROM strike WHERE person = ?", (key,))],
    }


def _decode_job(row: sqlite3.Row) -> dict[str, Any]:
    facts = dict(row)
    for name in ("request", "requester", "reply_to", "clip", "error"):
        facts[name] = json.loads(facts[name]) if facts[name] else None
    (facts["reply_to"] or {}).pop("token", None)
    return facts


def delete_personal_data(c: sqlite3.Connection, key: str, now: float) -> DeletedData:
    """Delete what is stored about the user up to `now`; unfinished jobs continue and lose it at their end.

    The links of the user are undone first. The account stays without a name. A user who returns soon gets it
    again, so that deletion does not restore credits.
    """
    by_key = "SELECT * FROM person WHERE key = ? AND created_at <= ?"
    unlinked = links.separate(c, key, now) if c.execute(by_key, (key, now)).fetchone() else []
    person = first_or_none(c.execute(by_key, (key, now)).fetchall())
    of_user = "person = ? AND created_at <= ?"
    c.execute(
        f"INSERT OR IGNORE INTO blank_at_end SELECT id FROM job WHERE {of_user}"  # noqa: S608  (a constant)
        f" AND (state NOT IN {FINISHED} OR id IN (SELECT job FROM unsaid))",
        (key, now),
    )
    deleted = _remove_content(c, f"{of_user} AND state IN {FINISHED}", (key, now))
    told = f"{of_user} AND state IN {FINISHED} AND id NOT IN (SELECT job FROM unsaid)"  # noqa: S608  (a constant)
    _anonymize_jobs(c, told, (key, now))
    reports.delete_personal_data(c, key, now)
    links.delete_personal_data(c, key)
    if person is not None:
        c.execute("UPDATE payment SET payer = '' WHERE payer = ? AND state <> 'refunding'", (key,))
        c.execute(
            "INSERT OR REPLACE INTO forgotten (token, account, until) VALUES (?, ?, ?)",
            (_forgotten_token(c, key), person["account"], now + FORGOTTEN_SECONDS),
        )
        c.execute("DELETE FROM person WHERE key = ?", (key,))
    return replace(deleted, unlinked=tuple(unlinked))


def has_jobs_to_blank(c: sqlite3.Connection, now: float) -> bool:
    sql = f"SELECT 1 FROM job WHERE {BLANK_NOW} LIMIT 1"  # noqa: S608  (a constant)
    return c.execute(sql, (now - STATUS_PATIENCE,)).fetchone() is not None


def blank_ended_jobs(c: sqlite3.Connection, now: float) -> DeletedData:
    """Remove the content of jobs that ended after their users had deleted their data.

    A job whose user still waits for its final status keeps its chat until that is shown.
    """
    deleted = _anonymize_jobs(c, BLANK_NOW, (now - STATUS_PATIENCE,))
    for table in ("blank_at_end", "unsaid"):
        sql = f"DELETE FROM {table} WHERE job IN (SELECT id FROM job WHERE person = ?)"  # noqa: S608  (constants)
        c.execute(sql, (DELETED_PERSON,))
    return deleted


def delete_again(c: sqlite3.Connection, deletions: DeletionList) -> int:
    """Repeat deletions in a restored backup that is older than they are; returns how many users it names."""
    keys = c.execute(
        "SELECT key FROM person UNION SELECT person FROM job UNION SELECT person FROM report"
        " UNION SELECT person FROM refusal"
    ).fetchall()
    deleted = deletions.deleted_at(row[0] for row in keys)
    for key, at in deleted.items():
        delete_personal_data(c, key, at)
    return len(deleted)


def _forgotten_token(c: sqlite3.Connection, key: str) -> str:
    pepper = people.global_value(c, "pepper")
    if pepper is None:
        pepper = secrets.token_hex(32)
        people.set_global_value(c, "pepper", pepper)
    return people.forgotten_token(pepper, key)


def delete_expired(c: sqlite3.Connection, *, before: float | None, now: float) -> DeletedData:
    """Delete expired codes, blocks, strikes and refusals, and the content of jobs that finished `before`."""
    for table in ("link_code", "link_request", "forgotten", "block"):
        c.execute(f"DELETE FROM {table} WHERE until < ?", (now,))  # noqa: S608  (constants)
    c.execute("DELETE FROM strike WHERE at < ?", (now - admin_decisions.STRIKE_LIFETIME,))
    reports.delete_expired(c, before=before, now=now)
    if before is None:
        return DeletedData()
    return _anonymize_jobs(
        c, f"finished_at < ? AND person <> '{DELETED_PERSON}' AND state IN {FINISHED}", (before,)
    )


def _anonymize_jobs(c: sqlite3.Connection, where: str, values: tuple[object, ...]) -> DeletedData:
    """Remove user and content from the rows; counts and costs stay for statistics."""
    deleted = _remove_content(c, where, values)
    links.record_spending(c, where, values)
    c.execute(
        "UPDATE job SET person = ?, community = '', message = '', update_id = NULL,"  # noqa: S608  (`where` is a constant)
        " error = json_replace(error, '$.facts.reason', '', '$.facts.detail', ''),"
        " requester = json_object('platform', 'gone', 'user', '0'),"
        f" reply_to = json_object('platform', 'gone', 'chat', '') WHERE {where}",
        (DELETED_PERSON, *values),
    )
    return deleted


def _remove_content(c: sqlite3.Connection, where: str, values: tuple[object, ...]) -> DeletedData:
    """Remove prompts, attachments and clips from the rows."""
    rows = c.execute(f"SELECT id, clip FROM job WHERE {where}", values).fetchall()  # noqa: S608  (`where` is a constant)
    files = [
        path
        for row in rows
        if row["clip"]
        for name, path in json.loads(row["clip"]).items()
        if name in {"path", "poster", "sheet"} and path
    ]
    c.executemany(
        "UPDATE job SET clip = NULL,"
        " request = json_set(json_remove(request, '$.image', '$.source', '$.music.track', '$.music.melody'),"
        " '$.prompt', '', '$.negative', '', '$.music.words', '') WHERE id = ?",
        [(row["id"],) for row in rows],
    )
    return DeletedData(len(rows), tuple(files))
