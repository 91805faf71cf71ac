"""How many files and bytes each account uploaded: asked and recorded before a file is fetched."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable

from bot.domain.errors import RateLimited, UploadLimitReached
from bot.domain.quota import UploadLimits
from bot.store import people

DAY = 86_400.0
NEWEST_JOBS = 5_000


def reserve(c: sqlite3.Connection, key: str, size: int, limits: UploadLimits, now: float) -> None:
    """Record an upload of `size` bytes before it is fetched; raises RateLimited or UploadLimitReached."""
    account = people.find_or_create_account(c, key, now=now)
    delete_expired(c, now)
    if limits.burst is not None:
        _check_burst(c, account, limits.burst, limits.burst_seconds, now)
    used, oldest = c.execute(
        "SELECT coalesce(sum(bytes), 0), coalesce(min(at), ?) FROM upload WHERE account = ?", (now, account)
    ).fetchone()
    if used + size > limits.bytes_per_day:
        raise UploadLimitReached(limits.bytes_per_day, oldest + DAY)
    c.execute("INSERT INTO upload (account, at, bytes) VALUES (?, ?, ?)", (account, now, size))


def _check_burst(c: sqlite3.Connection, account: int, burst: int, seconds: float, now: float) -> None:
    count, first = c.execute(
        "SELECT count(*), min(at) FROM (SELECT at FROM upload WHERE account = ? AND at > ? AND at <= ?"
        " ORDER BY at DESC LIMIT ?)",
        (account, now - seconds, now, burst),
    ).fetchone()
    if count >= burst:
        raise RateLimited(burst, seconds, first + seconds)


def record_stored_bytes(c: sqlite3.Connection, key: str, size: int, now: float) -> None:
    """Record bytes that a file takes on the disk beyond those that were reserved."""
    account = people.find_or_create_account(c, key, now=now)
    c.execute(
        "UPDATE upload SET bytes = bytes + ? WHERE rowid = (SELECT max(rowid) FROM upload WHERE account = ?)",
        (max(0, size), account),
    )


def named_by_jobs(c: sqlite3.Connection, paths: Iterable[str]) -> set[str]:
    """Those of the paths that a job names; the uploads are so new that only the newest jobs can."""
    rows = c.execute(
        "SELECT json_extract(request, '$.image', '$.music.track', '$.music.melody') AS paths FROM job"
        " ORDER BY id DESC LIMIT ?",
        (NEWEST_JOBS,),
    )
    named = {path for row in rows for path in json.loads(row["paths"]) if path}
    return named.intersection(paths)


def delete_expired(c: sqlite3.Connection, now: float) -> None:
    """Delete rows older than a day, and those from the future of a clock that was put back."""
    c.execute("DELETE FROM upload WHERE at < ? OR at > ?", (now - DAY, now + DAY))
