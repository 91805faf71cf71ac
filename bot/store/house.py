"""What admins decide while running, and what is known of a person's standing."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.store import people
from bot.store.rows import only

STRIKES_COUNT_FOR = 30 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    until: float | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the studio must know before it says yes to somebody."""

    block: Block | None = None
    tier: str | None = None
    credits: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What admins set: `closed` says why no new jobs are taken, channels are "discord:9" keys."""

    closed: str | None = None
    default_model: str | None = None
    disabled_models: frozenset[str] = frozenset()
    allowed_channels: frozenset[str] = frozenset()
    denied_channels: frozenset[str] = frozenset()

    def serves(self, channel: str) -> bool:
        if channel in self.denied_channels:
            return False
        return not self.allowed_channels or channel in self.allowed_channels


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    at: float
    admin: str
    verb: str
    details: Mapping[str, Any]


def standing(c: sqlite3.Connection, key: str, now: float) -> Standing:
    row = only(c.execute("SELECT tier, credits FROM person WHERE key = ?", (key,)).fetchall())
    return Standing(
        block=block_of(c, key, now),
        tier=row["tier"] if row else None,
        credits=row["credits"] if row else None,
    )


def rules(c: sqlite3.Connection) -> Rules:
    return Rules(
        closed=people.fact(c, "closed"),
        default_model=people.fact(c, "default_model"),
        disabled_models=frozenset(people.fact(c, "disabled_models") or ()),
        allowed_channels=frozenset(people.fact(c, "allowed_channels") or ()),
        denied_channels=frozenset(people.fact(c, "denied_channels") or ()),
    )


def put_in(c: sqlite3.Connection, fact: str, name: str) -> None:
    people.change_fact(c, fact, sorted({*(people.fact(c, fact) or ()), name}))


def take_out(c: sqlite3.Connection, fact: str, name: str) -> None:
    people.change_fact(c, fact, sorted({*(people.fact(c, fact) or ())} - {name}))


def block(c: sqlite3.Connection, key: str, *, until: float | None, reason: str, now: float) -> None:
    c.execute(
        "INSERT INTO block (person, until, reason, at) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET until = excluded.until, reason = excluded.reason, at = excluded.at",
        (key, until, reason, now),
    )


def unblock(c: sqlite3.Connection, key: str) -> bool:
    return c.execute("DELETE FROM block WHERE person = ?", (key,)).rowcount == 1


def block_of(c: sqlite3.Connection, key: str, now: float) -> Block | None:
    row = only(c.execute("SELECT until, reason FROM block WHERE person = ?", (key,)).fetchall())
    if row is None or (row["until"] is not None and row["until"] <= now):
        return None
    return Block(until=row["until"], reason=row["reason"])


def strike(c: sqlite3.Connection, key: str, rule: str, now: float) -> int:
    """Write it down; how many this person has of late, with this one."""
    c.execute("INSERT INTO strike (person, rule, at) VALUES (?, ?, ?)", (key, rule, now))
    since = now - STRIKES_COUNT_FOR
    count: int = c.execute(
        "SELECT count(*) FROM strike WHERE person = ? AND at > ?", (key, since)
    ).fetchone()[0]
    return count


def set_tier(c: sqlite3.Connection, key: str, tier: str | None) -> None:
    c.execute("UPDATE person SET tier = ? WHERE key = ?", (tier, key))


def set_credits(c: sqlite3.Connection, key: str, credits_: int | None) -> None:
    c.execute("UPDATE person SET credits = ? WHERE key = ?", (credits_, key))


def complain(
    c: sqlite3.Connection, kind: str, *, person: str, job: int | None, words: str, now: float
) -> bool:
    """A report or an appeal for the admins; False if this person said so before."""
    sql = "INSERT INTO report (at, kind, person, job, words) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
    return c.execute(sql, (now, kind, person, job, words)).rowcount == 1


def complaints(c: sqlite3.Connection, limit: int) -> list[dict[str, Any]]:
    return [dict(row) for row in c.execute("SELECT * FROM report ORDER BY id DESC LIMIT ?", (limit,))]


def announce(c: sqlite3.Connection, words: str, *, now: float, until: float) -> None:
    """One announcement at a time: the next one takes its place."""
    c.execute("UPDATE announcement SET until = ? WHERE until > ?", (now, now))
    c.execute("INSERT INTO announcement (at, words, until) VALUES (?, ?, ?)", (now, words, until))


def announcement(c: sqlite3.Connection, now: float) -> str:
    sql = "SELECT words FROM announcement WHERE at <= ? AND until > ? ORDER BY id DESC LIMIT 1"
    row = only(c.execute(sql, (now, now)).fetchall())
    return row["words"] if row else ""


def write_down(
    c: sqlite3.Connection, *, admin: str, verb: str, details: Mapping[str, Any], now: float
) -> None:
    c.execute(
        "INSERT INTO audit (at, admin, verb, details) VALUES (?, ?, ?, ?)",
        (now, admin, verb, json.dumps(details)),
    )


def audit(c: sqlite3.Connection, limit: int) -> list[Audited]:
    rows = c.execute("SELECT at, admin, verb, details FROM audit ORDER BY id DESC LIMIT ?", (limit,))
    return [Audited(**{**dict(row), "details": json.loads(row["details"])}) for row in rows]
