"""Between a Job and its row."""

from __future__ import annotations

import sqlite3

import msgspec

from bot.domain.errors import NoSuchJob
from bot.domain.jobs import Job, ReplyTo, Requester, State
from generation.clip import Clip
from generation.request import Request


class Superseded(Exception):
    """The job is no longer where this change expects it: cancelled, or taken over by a newer lease."""

    def __init__(self, job: int, state: State | None) -> None:
        super().__init__(f"job {job} is {state or 'unknown'}")
        self.job = job
        self.state = state


def job_from_row(row: sqlite3.Row) -> Job:
    clip, error = row["clip"], row["error"]
    return Job(
        id=row["id"],
        request=request_from(row["request"]),
        requester=requester_from(row["requester"]),
        reply_to=reply_to_from(row["reply_to"]),
        state=State(row["state"]),
        cost=row["cost"],
        attempt=row["attempt"],
        epoch=row["epoch"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        clip=_clip(clip) if clip else None,
        error=msgspec.json.decode(error) if error else None,
        message=row["message"],
        parent=row["parent"],
    )


def as_json(value: object) -> str:
    return _encoded(value).decode()


_encoded = msgspec.json.Encoder(enc_hook=str).encode  # a Path is the one type of ours that JSON lacks
request_from = msgspec.json.Decoder(Request).decode
requester_from = msgspec.json.Decoder(Requester).decode
reply_to_from = msgspec.json.Decoder(ReplyTo).decode
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
