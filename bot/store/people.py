"""Users and communities: accounts, names and settings; also global values."""

from __future__ import annotations

import hashlib
import hmac
import json
import sqlite3
from typing import Any

from bot.store.job_rows import first_or_none


def find_account(c: sqlite3.Connection, key: str) -> int | None:
    """The account that holds the user's credits and queue share; linked users share one account."""
    row = first_or_none(c.execute("SELECT account FROM person WHERE key = ?", (key,)).fetchall())
    return row["account"] if row else None


def find_or_create_account(c: sqlite3.Connection, key: str, *, now: float, name: str = "") -> int:
    """The account of the user, who is created if new."""
    found = find_account(c, key)
    if found:
        return found
    account = _reclaim_forgotten_account(c, key) or c.execute("INSERT INTO account DEFAULT VALUES").lastrowid
    assert account is not None
    c.execute(
        "INSERT INTO person (key, account, name, created_at, seen_at) VALUES (?, ?, ?, ?, ?)",
        (key, account, name, now, now),
    )
    return account


def _reclaim_forgotten_account(c: sqlite3.Connection, key: str) -> int | None:
    """The account of a user who deleted their data recently, so that deletion does not restore credits."""
    pepper = global_value(c, "pepper")
    if pepper is None:
        return None
    sql = "DELETE FROM forgotten WHERE token = ? RETURNING account"
    row = first_or_none(c.execute(sql, (forgotten_token(pepper, key),)).fetchall())
    return row["account"] if row else None


def forgotten_token(pepper: str, key: str) -> str:
    """A keyed hash that recognizes a user after deletion and reveals nothing else about them."""
    return hmac.new(bytes.fromhex(pepper), key.encode(), hashlib.sha256).hexdigest()


def settings(c: sqlite3.Connection, key: str) -> dict[str, Any]:
    row = first_or_none(c.execute("SELECT settings FROM person WHERE key = ?", (key,)).fetchall())
    found: dict[str, Any] = json.loads(row["settings"]) if row else {}
    return found


def change_setting(c: sqlite3.Connection, key: str, name: str, value: Any, *, now: float) -> None:
    """None removes the setting."""
    find_or_create_account(c, key, now=now)
    kept = {k: v for k, v in (settings(c, key) | {name: value}).items() if v is not None}
    c.execute("UPDATE person SET settings = ? WHERE key = ?", (json.dumps(kept), key))


CHOSEN_LANGUAGES = """
SELECT key, json_extract(settings, '$.language') FROM person
WHERE key >= :start AND key < :end AND json_extract(settings, '$.language') IS NOT NULL
"""


def chosen_languages(c: sqlite3.Connection, platform: str) -> dict[str, str]:
    """The language of every user and community of a platform that chose one, by key."""
    bounds = {"start": f"{platform}:", "end": f"{platform};"}  # the character after a colon
    return {key: str(language) for key, language in c.execute(CHOSEN_LANGUAGES, bounds)}


def global_value(c: sqlite3.Connection, name: str) -> Any:
    row = first_or_none(c.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchall())
    return json.loads(row["value"]) if row else None


def set_global_value(c: sqlite3.Connection, name: str, value: Any) -> None:
    c.execute(
        "INSERT INTO fact (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
        (name, json.dumps(value)),
    )


def move_chat(c: sqlite3.Connection, platform: str, *, old: str, new: str) -> None:
    """Send later replies to the new chat and keep the settings and the block of the community."""
    c.execute(
        """
        UPDATE job SET reply_to = json_set(reply_to, '$.chat', :new)
        WHERE json_extract(reply_to, '$.platform') = :platform AND json_extract(reply_to, '$.chat') = :old
        """,
        {"platform": platform, "old": old, "new": new},
    )
    before, after = f"{platform}:{old}", f"{platform}:{new}"
    c.execute("UPDATE OR IGNORE person SET key = ? WHERE key = ?", (after, before))
    c.execute("UPDATE OR IGNORE block SET person = ? WHERE person = ?", (after, before))
