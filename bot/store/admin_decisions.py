"""Rules that admins set at run time, users' standing, announcements, and the audit log."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.domain.quota import Allowance, QuotaPlan, Tier
from bot.store import people
from bot.store.job_rows import first_or_none

STRIKE_REASON = "a rule that protects people was broken"
STRIKE_LIFETIME = 30 * 86_400.0

USERS_OF_ACCOUNT = """
SELECT :key UNION SELECT other.key FROM person AS me JOIN person AS other ON other.account = me.account
WHERE me.key = :key
"""
"""The user, known or not, and all users who are linked to them."""

ACTIVE_BLOCK = f"""
SELECT until, reason FROM block WHERE person IN ({USERS_OF_ACCOUNT}) AND (until IS NULL OR until > :now)
ORDER BY until IS NOT NULL, until DESC LIMIT 1
"""  # noqa: S608  (a constant)

LAST_JOB_CONTEXT = """
SELECT requester, reply_to FROM job
WHERE account = (SELECT account FROM person WHERE key = :key) AND person = :key ORDER BY id DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    until: float | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What decides whether a user may submit a job, and with which allowance."""

    block: Block | None = None
    tier: str | None = None
    credits: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminRules:
    """`closed` is the reason why no new jobs are accepted; channels are keys like "discord:9"."""

    closed: str | None = None
    default_model: str | None = None
    disabled_models: frozenset[str] = frozenset()
    allowed_channels: frozenset[str] = frozenset()
    denied_channels: frozenset[str] = frozenset()
    role_tiers: Mapping[str, str] = field(default_factory=dict)  # "discord:123" -> the tier of its members

    def tiers_for_roles(self, platform: str, roles: Iterable[str]) -> frozenset[str]:
        """The tiers that admins gave to these roles."""
        named = (self.role_tiers.get(f"{platform}:{role}") for role in roles)
        return frozenset(tier for tier in named if tier)

    def allows_channels(self, channels: Collection[str], *, private: bool) -> bool:
        """Whether a user is served in a channel, given with the channel of which it is a thread.

        A private chat is served unless it is denied.
        """
        if not self.denied_channels.isdisjoint(channels):
            return False
        return private or not self.allowed_channels or not self.allowed_channels.isdisjoint(channels)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    at: float
    admin: str
    verb: str
    details: Mapping[str, Any]


def standing(c: sqlite3.Connection, key: str, now: float) -> Standing:
    row = first_or_none(c.execute("SELECT tier, credits FROM person WHERE key = ?", (key,)).fetchall())
    return Standing(
        block=active_block(c, key, now),
        tier=row["tier"] if row else None,
        credits=row["credits"] if row else None,
    )


def admin_rules(c: sqlite3.Connection) -> AdminRules:
    return AdminRules(
        closed=people.global_value(c, "closed"),
        default_model=people.global_value(c, "default_model"),
        disabled_models=frozenset(people.global_value(c, "disabled_models") or ()),
        allowed_channels=frozenset(people.global_value(c, "allowed_channels") or ()),
        denied_channels=frozenset(people.global_value(c, "denied_channels") or ()),
        role_tiers=people.global_value(c, "role_tiers") or {},
    )


def set_role_tier(c: sqlite3.Connection, role: str, tier: str | None) -> None:
    """None removes the role's tier."""
    known = {**(people.global_value(c, "role_tiers") or {}), role: tier}
    people.set_global_value(c, "role_tiers", {name: given for name, given in known.items() if given})


def tier_and_allowance(
    c: sqlite3.Connection, plan: QuotaPlan, key: str, now: float
) -> tuple[Tier, Allowance]:
    """The user's tier and allowance, from the roles and the chat of their last job."""
    stands = standing(c, key, now)
    row = first_or_none(c.execute(LAST_JOB_CONTEXT, {"key": key}).fetchall())
    last_requester = json.loads(row["requester"]) if row else {}
    roles, platform = last_requester.get("roles", ()), key.partition(":")[0]
    chat = f"{platform}:{json.loads(row['reply_to'])['chat']}" if row else ""
    role_tiers = admin_rules(c).tiers_for_roles(platform, roles)
    tier = plan.tier(key, roles=roles, chat=chat, assigned=stands.tier, tiers_of_roles=role_tiers)
    return tier, plan.allowance(
        tier, admin=bool(last_requester.get("admin")), personal_credits=stands.credits
    )


def add_to_global_set(c: sqlite3.Connection, fact: str, name: str) -> None:
    people.set_global_value(c, fact, sorted({*(people.global_value(c, fact) or ()), name}))


def remove_from_global_set(c: sqlite3.Connection, fact: str, name: str) -> None:
    people.set_global_value(c, fact, sorted({*(people.global_value(c, fact) or ())} - {name}))


def block(c: sqlite3.Connection, key: str, *, until: float | None, reason: str, now: float) -> None:
    c.execute(
        "INSERT INTO block (person, until, reason, at) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET until = excluded.until, reason = excluded.reason, at = excluded.at",
        (key, until, reason, now),
    )


def unblock(c: sqlite3.Connection, key: str) -> bool:
    """Lift the blocks of the user and of all linked users; False if there was none."""
    sql = f"DELETE FROM block WHERE person IN ({USERS_OF_ACCOUNT})"  # noqa: S608  (a constant)
    return c.execute(sql, {"key": key}).rowcount > 0


def active_block(c: sqlite3.Connection, key: str, now: float) -> Block | None:
    """The longest block of the user or of a linked user: a block holds for the whole account."""
    row = first_or_none(c.execute(ACTIVE_BLOCK, {"key": key, "now": now}).fetchall())
    return Block(until=row["until"], reason=row["reason"]) if row else None


def strike(
    c: sqlite3.Connection, key: str, rule: str, *, timeout_for: Callable[[int], float | None], now: float
) -> Block:
    """Record a strike and block the user for as long as the number of recent strikes asks for."""
    seconds = timeout_for(add_strike(c, key, rule, now))
    until = None if seconds is None else now + seconds
    block(c, key, until=until, reason=STRIKE_REASON, now=now)
    return Block(until=until, reason=STRIKE_REASON)


def add_strike(c: sqlite3.Connection, key: str, rule: str, now: float) -> int:
    """Record a strike; returns how many recent ones the user and linked users have, this one included."""
    c.execute("INSERT INTO strike (person, rule, at) VALUES (?, ?, ?)", (key, rule, now))
    sql = f"SELECT count(*) FROM strike WHERE person IN ({USERS_OF_ACCOUNT}) AND at > :since"  # noqa: S608  (a constant)
    count: int = c.execute(sql, {"key": key, "since": now - STRIKE_LIFETIME}).fetchone()[0]
    return count


def set_tier(c: sqlite3.Connection, key: str, tier: str | None) -> None:
    c.execute("UPDATE person SET tier = ? WHERE key = ?", (tier, key))


def set_credits(c: sqlite3.Connection, key: str, credits_: int | None) -> None:
    c.execute("UPDATE person SET credits = ? WHERE key = ?", (credits_, key))


def announce(c: sqlite3.Connection, words: str, *, now: float, until: float) -> None:
    """Replace the current announcement."""
    c.execute("UPDATE announcement SET until = ? WHERE until > ?", (now, now))
    c.execute("INSERT INTO announcement (at, words, until) VALUES (?, ?, ?)", (now, words, until))


def announcement(c: sqlite3.Connection, now: float) -> str:
    sql = "SELECT words FROM announcement WHERE at <= ? AND until > ? ORDER BY id DESC LIMIT 1"
    row = first_or_none(c.execute(sql, (now, now)).fetchall())
    return row["words"] if row else ""


def add_audit_entry(
    c: sqlite3.Connection, *, admin: str, verb: str, details: Mapping[str, Any], now: float
) -> None:
    c.execute(
        "INSERT INTO audit (at, admin, verb, details) VALUES (?, ?, ?, ?)",
        (now, admin, verb, json.dumps(details)),
    )


def audit_entries(c: sqlite3.Connection, limit: int) -> list[AuditEntry]:
    rows = c.execute("SELECT at, admin, verb, details FROM audit ORDER BY id DESC LIMIT ?", (limit,))
    return [AuditEntry(**{**dict(row), "details": json.loads(row["details"])}) for row in rows]
