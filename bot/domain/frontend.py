"""What a frontend must implement, what it is given to send, and how a send can fail."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from bot.domain.jobs import Action, Job
from generation.clip import Clip
from generation.progress import Progress


@dataclass(frozen=True, slots=True)
class Button:
    label: str
    action: Action


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingClip:
    """A clip that already fits this chat's size limit, with its text and its buttons."""

    job: Job
    clip: Clip
    text: str
    buttons: tuple[Button, ...] = ()
    announcement: str = ""  # the admins' announcement; `text` ends with it
    spoiler: bool = False  # hidden until the user opens it
    nonce: str  # derived from the job, at most 25 characters, the same for every try
    prompt_note: str = ""  # the part of the prompt that the model ignored; `text` contains it


class Frontend(Protocol):
    """One chat platform. Its FrontendDescriptor tells the rest of the bot about it."""

    name: str
    deduplicates: bool
    """True if the same nonce sent twice is shown once, so that an uncertain send may be repeated."""

    async def run(self) -> None:
        """Serve until cancelled."""

    async def show_status(self, job: Job, text: str, *, progress: Progress | None = None) -> float | None:
        """Show the job's status by editing its one status message. Only the latest status matters.

        Returns for how many seconds this chat wants no more progress of this job, if it does.
        """

    async def send_clip(self, outgoing: OutgoingClip) -> str:
        """Send the clip and return the platform's message id; raises a SendError."""

    async def after_delivery(self, job: Job) -> None:
        """Called once the delivery is saved: clean up, for example the status message. Must not raise."""


@runtime_checkable
class ConnectingFrontend(Protocol):
    """A frontend that reports when its chats can be reached; nothing is sent before `ready` is set."""

    ready: asyncio.Event


class SendError(Exception):
    """A send that did not return a message id."""


class Unreachable(SendError):
    """Not sent; a later try may succeed."""


class Rejected(SendError):
    """Not sent, and no later try can succeed: no permission, no chat, or blocked by the user."""


class TooLarge(SendError):
    """Not sent: the chat accepts at most `limit` bytes, or an unknown number below the size of this clip."""

    def __init__(self, limit: int | None = None) -> None:
        super().__init__(limit)
        self.limit = limit


class MaybeSent(SendError):
    """Sent or not: the platform's answer did not arrive."""


def is_reachable(frontend: Frontend) -> bool:
    ready = frontend.ready if isinstance(frontend, ConnectingFrontend) else None
    return ready is None or ready.is_set()
