"""What a chat has to be able to do, what it is given to send, and how a send can end."""

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
    """What is sent: the clip already sized for this chat, its words and its buttons."""

    job: Job
    clip: Clip
    text: str
    buttons: tuple[Button, ...] = ()
    announcement: str = ""  # what admins want said everywhere; `text` ends with it
    spoiler: bool = False  # shown veiled
    nonce: str  # made from the job, at most 25 characters: the same for every try
    prompt_note: str = ""  # what of the prompt the model passed over; `text` says it too


class Frontend(Protocol):
    """A chat platform. One folder or file of bot/frontends/ each."""

    name: str
    deduplicates: bool
    """True if one nonce sent twice shows once, so that a doubtful send may be repeated."""

    async def run(self) -> None:
        """Serve until cancelled."""

    async def show_status(self, job: Job, text: str, *, progress: Progress | None = None) -> float | None:
        """Show how the job is, by editing its one status message; the latest wins, none need arrive.

        Returns for how many seconds this chat wants to hear no more of it, its end apart.
        """

    async def send_clip(self, outgoing: OutgoingClip) -> str:
        """Send the clip and return the platform's message id; raises a SendError."""

    async def after_delivery(self, job: Job) -> None:
        """The send is remembered: tidy up behind it, a status message for example. Must not raise."""


@runtime_checkable
class ConnectingFrontend(Protocol):
    """A frontend that says when its chats can be reached: until then nothing is sent."""

    ready: asyncio.Event


class SendError(Exception):
    """A send that did not end in a message id."""


class Unreachable(SendError):
    """Certainly not sent; it may work later."""


class Rejected(SendError):
    """Certainly not sent, and it never will be: no permission, no chat, blocked."""


class TooLarge(SendError):
    """Certainly not sent: the chat takes at most `limit` bytes, or less than this if that is not known."""

    def __init__(self, limit: int | None = None) -> None:
        super().__init__(limit)
        self.limit = limit


class MaybeSent(SendError):
    """Perhaps sent: the answer never came."""


def is_reachable(frontend: Frontend) -> bool:
    ready = frontend.ready if isinstance(frontend, ConnectingFrontend) else None
    return ready is None or ready.is_set()
