"""Between a Job and its row."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bot.errors import NoSuchJob
from bot.job import Draft, Job, ReplyTo, State, requester_from_json
from generation.clip import Clip
from generation.request import Request


class Superseded(Exception):
    """The job is no longer where this change expects it: cancelled, or taken over by a newer lease."""

    def __init__(self, job: int, state: State | None) -> None:
        super().__init__(f"job {job} is {state or 'unknown'}")
        self.job = job
        self.state = state


def job_from_row(row: sqlite3.Row) -> Job:
    return Job(
        id=row["id"],
        request=Request.from_json(json.loads(row["request"])),
        requester=requester_from_json(json.loads(row["requester"])),
        reply_to=ReplyTo(**json.loads(row["reply_to"])),
        state=State(row["state"]),
        cost=row["cost"],
        attempt=row["attempt"],
        epoch=row["epoch"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        clip=Clip.from_json(json.loads(row["clip"])) if row["clip"] else None,
        error=json.loads(row["error"]) if row["error"] else None,
        message=row["message"],
        parent=row["parent"],
    )


def draft_to_row(draft: Draft) -> dict[str, Any]:
    return {
        "person": draft.requester.key,
        "community": community_key(draft.requester.platform, draft.requester.community),
        "model": draft.request.model,
        "request": as_json(draft.request),
        "requester": as_json(draft.requester),
        "reply_to": as_json(draft.reply_to),
        "cost": draft.cost,
        "weight": draft.weight,
        "parent": draft.parent,
        "update_id": f"{draft.requester.platform}:{draft.update}" if draft.update else None,
    }


def community_key(platform: str, community: str) -> str:
    return f"{platform}:{community}" if community else ""


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def _shallow(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return {name: getattr(value, name) for name in _names(type(value))}
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be stored")


as_json = json.JSONEncoder(default=_shallow).encode
"""Ten times as quick as asdict(), which copies everything it meets: three of these are written a job."""


def only(rows: list[sqlite3.Row]) -> sqlite3.Row | None:
    return rows[0] if rows else None


def row_of(c: sqlite3.Connection, number: int) -> sqlite3.Row:
    row = only(c.execute("SELECT * FROM job WHERE id = ?", (number,)).fetchall())
    if row is None:
        raise NoSuchJob(number)
    return row
