"""Between a Job and its row."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

from bot.errors import NoSuchJob
from bot.job import Job, ReplyTo, Requester, State
from generation.clip import Clip
from generation.request import Request


class Superseded(Exception):
    """The job is no longer where this change expects it: cancelled, or taken over by a newer lease."""

    def __init__(self, job: int, state: State | None) -> None:
        super().__init__(f"job {job} is {state or 'unknown'}")
        self.job = job
        self.state = state


Executes = sqlite3.Connection | sqlite3.Cursor
"""What runs statements: a connection makes a cursor for each, which costs as much as a small statement."""

COLUMNS = (
    "id", "request", "requester", "reply_to", "state", "cost", "attempt", "epoch",
    "created_at", "started_at", "finished_at", "clip", "error", "message", "parent",
)  # fmt: skip


def job_from_row(row: sqlite3.Row) -> Job:
    return job_from([row[name] for name in COLUMNS])


def job_from(values: Sequence[Any]) -> Job:
    """A job from its COLUMNS."""
    number, request, requester, reply_to, state, cost, attempt, epoch, *rest = values
    created_at, started_at, finished_at, clip, error, message, parent = rest
    return Job(
        id=number,
        request=_request(request),
        requester=_requester(requester),
        reply_to=_reply_to(reply_to),
        state=State(state),
        cost=cost,
        attempt=attempt,
        epoch=epoch,
        created_at=created_at,
        started_at=started_at,
        finished_at=finished_at,
        clip=_clip(clip) if clip else None,
        error=msgspec.json.decode(error) if error else None,
        message=message,
        parent=parent,
    )


def as_json(value: object) -> str:
    return _encoded(value).decode()


_encoded = msgspec.json.Encoder(enc_hook=str).encode  # a Path is the one type of ours that JSON lacks
_request = msgspec.json.Decoder(Request).decode
_requester = msgspec.json.Decoder(Requester).decode
_reply_to = msgspec.json.Decoder(ReplyTo).decode
_clip = msgspec.json.Decoder(Clip, dec_hook=lambda kind, text: kind(text)).decode


def community_key(platform: str, community: str) -> str:
    """Some chats tell a community's number, some the whole key."""
    if not community or community.startswith(f"{platform}:"):
        return community
    return f"{platform}:{community}"


def only(rows: list[sqlite3.Row]) -> sqlite3.Row | None:
    return rows[0] if rows else None


def row_of(c: sqlite3.Connection, number: int) -> sqlite3.Row:
    row = only(c.execute("SELECT * FROM job WHERE id = ?", (number,)).fetchall())
    if row is None:
        raise NoSuchJob(number)
    return row
