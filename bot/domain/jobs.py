"""Jobs and what belongs to them, as plain frozen data: a Job is a copy of a row, not a live object.

What is kept or sent as JSON is a msgspec Struct, which is read and written far quicker than a dataclass. Only
`msgspec.structs.replace` makes a changed one: that of `dataclasses` fails, and no type checker says so. A row
keeps no value that is the default, so a default is for good: another would change what old rows say.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from generation.clip import Clip
from generation.request import Request


class JobState(StrEnum):
    QUEUED = "queued"  # waits for its turn
    RUNNING = "running"  # with the engine, under a lease
    RENDERED = "rendered"  # the clip is on disk and paid for; a failed upload does not lose it
    DELIVERING = "delivering"  # a send has begun and its outcome is not known yet
    DELIVERED = "delivered"  # the chat has it
    UNCERTAIN = "uncertain"  # the outcome of a send is unknown: only the user can send it again
    FAILED = "failed"  # explained to the user and refunded
    CANCELLED = "cancelled"  # on request; refunded unless its frames were generated already
    HELD = "held"  # waits for the review of an admin

    @property
    def is_final(self) -> bool:
        return self in FINAL_STATES


FINAL_STATES = frozenset({JobState.DELIVERED, JobState.UNCERTAIN, JobState.FAILED, JobState.CANCELLED})
WAITING_STATES = frozenset({JobState.QUEUED, JobState.RUNNING})


def community_key(platform: str, number: int | None) -> str:
    """Return the key of a server or group, "discord:7"; empty in a private chat."""
    return f"{platform}:{number}" if number else ""


class Requester(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The user who submits a job. `community` is the key of the server or group, empty in a private chat."""

    platform: str
    user: str
    name: str = ""
    roles: tuple[str, ...] = ()
    community: str = ""
    admin: bool = False
    language: str = "en"

    @property
    def key(self) -> str:
        return f"{self.platform}:{self.user}"

    @property
    def community_key(self) -> str:
        """The key of the community, also for jobs of earlier versions, which stored a bare Discord number."""
        if not self.community or self.community.startswith(f"{self.platform}:"):
            return self.community
        return f"{self.platform}:{self.community}"


class ReplyTo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where the clip goes: plain data, so that it outlives a restart and an expired token."""

    platform: str
    chat: str
    message: str = ""  # the user's message, to reply to
    status: str = ""  # the status message of this job, once there is one
    thread: str = ""
    token: str = ""
    token_until: float = 0.0
    limit: int = 0  # upload limit in bytes; 0 means no limit
    private: bool = False
    facts: dict[str, Any] = msgspec.field(default_factory=dict)  # values that only this frontend understands


@dataclass(frozen=True, slots=True)
class Action:
    """What a button does, as a short string: "reroll:17" or "score:17:jazz", within Telegram's 64 bytes."""

    verb: str
    job: int
    choice: str = ""

    def __str__(self) -> str:
        return ":".join(filter(None, (self.verb, str(self.job), self.choice)))

    @classmethod
    def parse(cls, text: str) -> Action | None:
        """None for an invalid action: callback data comes from outside."""
        verb, _, remainder = text.partition(":")
        number, _, choice = remainder.partition(":")
        if not (verb.isidentifier() and number.isascii() and number.isdecimal() and len(number) <= 18):
            return None
        return cls(verb, int(number), choice)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A job that is not saved yet."""

    request: Request
    requester: Requester
    reply_to: ReplyTo
    cost: int
    weight: float = 1.0
    idempotency_key: str = (
        ""  # the platform's id of the update, so that a repeated update makes no second job
    )
    parent: int | None = None  # the job whose button started this one


class Job(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    request: Request
    requester: Requester
    reply_to: ReplyTo
    state: JobState
    cost: int
    attempt: int = 0  # how often this job killed the engine
    epoch: int = 0  # fencing token: each claim increases it, and a change by a stale worker is rejected
    created_at: float = 0.0
    started_at: float | None = None
    finished_at: float | None = None
    clip: Clip | None = None
    error: dict[str, Any] | None = None  # ExplainedError.to_json() of the error that ended it
    message: str = ""  # the platform's id of the delivered message
    parent: int | None = None
    picture_done: bool = (
        False  # the frames of this attempt are generated; from then on a cancelled job is charged
    )
