"""Convert between jobs and database rows."""

from __future__ import annotations

import sqlite3

import msgspec

from bot.domain.errors import NoSuchJob
from bot.domain.jobs import Job, JobState, ReplyTo, Requester
from generation.clip import Clip
from generation.request import Request


class Superseded(Exception):
    """The job is not in the state that the change expects: it was cancelled, or has a newer lease."""

    def __init__(self, job: int, state: JobState | None) -> None:
        super().__init__(f"job {job} is {state or 'unknown'}")
        self.job = job
        self.state = state


def job_from_row(row: sqlite3.Row) -> Job:
    clip, error = row["clip"], row["error"]
    return Job(
        id=row["id"],
        request=decode_request(row["request"]),
        requester=decode_requester(row["requester"]),
        reply_to=decode_reply_to(row["reply_to"]),
        state=JobState(row["state"]),
        cost=row["cost"],
        attempt=row["attempt"],
        epoch=row["epoch"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        clip=_decode_clip(clip) if clip else None,
        error=msgspec.json.decode(error) if error else None,
        message=row["message"],
        parent=row["parent"],
        picture_done=bool(row["painted"]),
    )


def as_json(value: object) -> str:
    return _encode(value).decode()


_encode = msgspec.json.Encoder(enc_hook=str).encode  # Path is the only type used here that JSON lacks
decode_request = msgspec.json.Decoder(Request).decode
decode_requester = msgspec.json.Decoder(Requester).decode
decode_reply_to = msgspec.json.Decoder(ReplyTo).decode
_decode_clip = msgspec.json.Decoder(Clip, dec_hook=lambda kind, text: kind(text)).decode


def first_or_none(rows: list[sqlite3.Row]) -> sqlite3.Row | None:
    return rows[0] if rows else None


def job_row(c: sqlite3.Connection, number: int) -> sqlite3.Row:
    row = first_or_none(c.execute("SELECT * FROM job WHERE id = ?", (number,)).fetchall())
    if row is None:
        raise NoSuchJob(number)
    return row
