"""The types that carry everything. Plain frozen data: a Job is a row, never a live object.

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
    QUEUED = "queued"  # waiting its turn
    RUNNING = "running"  # with the engine, under a lease
    RENDERED = "rendered"  # the clip is on disk and paid for; a lost upload is never a lost render
    DELIVERING = "delivering"  # a send has begun and its answer is not here yet
    DELIVERED = "delivered"  # the chat has it
    UNCERTAIN = "uncertain"  # a send whose answer never came: never sent again unasked
    FAILED = "failed"  # told and refunded
    CANCELLED = "cancelled"  # somebody asked; refunded unless it was painted already
    HELD = "held"  # set aside for a person to look at

    @property
    def is_final(self) -> bool:
        return self in FINAL_STATES


FINAL_STATES = frozenset({JobState.DELIVERED, JobState.UNCERTAIN, JobState.FAILED, JobState.CANCELLED})
WAITING_STATES = frozenset({JobState.QUEUED, JobState.RUNNING})


def community_key(platform: str, number: int | None) -> str:
    """Return the key of a server or group, "discord:7"; empty in a private chat."""
    return f"{platform}:{number}" if number else ""


class Requester(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who asks. `community` is the key of the server or group, empty in a private chat."""

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
    """Where the answer goes: plain data, so that a reply outlives a restart and a dead interaction token."""

    platform: str
    chat: str
    message: str = ""  # the person's message, to reply to
    status: str = ""  # our own message that tells how far it is, once there is one
    thread: str = ""
    token: str = ""
    token_until: float = 0.0
    limit: int = 0  # upload limit in bytes, 0 when there is none
    private: bool = False
    facts: dict[str, Any] = msgspec.field(default_factory=dict)  # what only this frontend understands


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
        """None for anything that is not one of ours: callback data comes from outside."""
        verb, _, remainder = text.partition(":")
        number, _, choice = remainder.partition(":")
        if not (verb.isidentifier() and number.isascii() and number.isdecimal() and len(number) <= 18):
            return None
        return cls(verb, int(number), choice)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A job before it has a number."""

    request: Request
    requester: Requester
    reply_to: ReplyTo
    cost: int
    weight: float = 1.0
    idempotency_key: str = ""  # the platform's id of what asked for it, so that a replay makes no second job
    parent: int | None = None  # the job whose button asked for this one


class Job(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    request: Request
    requester: Requester
    reply_to: ReplyTo
    state: JobState
    cost: int
    attempt: int = 0  # how often the engine died of this job
    epoch: int = 0  # fences a stale worker: every change names the epoch it holds
    created_at: float = 0.0
    started_at: float | None = None
    finished_at: float | None = None
    clip: Clip | None = None
    error: dict[str, Any] | None = None  # Told.to_json() of what ended it
    message: str = ""  # the platform's id of the delivered message
    parent: int | None = None
    picture_done: bool = False  # the frames of this attempt are generated: from then on a cancel is charged
