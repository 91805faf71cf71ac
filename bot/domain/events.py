"""What happens to jobs, as typed events on one bus. Each part subscribes to the events that it needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import structlog

from bot.domain.jobs import Action, Job
from generation.progress import Progress

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A message that nobody asked for: plain text, buttons, and a clip shown as a spoiler."""

    text: str
    actions: tuple[Action, ...] = ()
    clip: Path | None = None
    language: str = "en"  # of the buttons; notices to admins are in English


@dataclass(frozen=True, slots=True)
class Event:
    """Base class of all events."""


@dataclass(frozen=True, slots=True)
class JobQueued(Event):
    """A new job was saved in the queue."""

    job: Job


@dataclass(frozen=True, slots=True)
class JobCancelRequested(Event):
    """A job was cancelled or rejected in the store; a render of it that still runs must stop."""

    job_id: int


@dataclass(frozen=True, slots=True)
class JobProgressed(Event):
    """The engine reported progress."""

    job: Job
    progress: Progress


@dataclass(frozen=True, slots=True)
class JobRendered(Event):
    """The clip is on disk and the job waits for delivery."""

    job: Job


@dataclass(frozen=True, slots=True)
class JobReadyToSend(Event):
    """A rendered job waits for delivery once more, because its user asked for another try."""

    job: Job


@dataclass(frozen=True, slots=True)
class JobHeld(Event):
    """The clip is held back until an admin decides."""

    job: Job


@dataclass(frozen=True, slots=True)
class JobEnded(Event):
    """The job failed, was cancelled, or its delivery is uncertain: there is no clip to show.

    `perhaps_shown`: another process ended it, so its final status may have been shown already.
    """

    job: Job
    perhaps_shown: bool = False


@dataclass(frozen=True, slots=True)
class JobDelivered(Event):
    """The chat has the clip."""

    job: Job


@dataclass(frozen=True, slots=True)
class QueueChanged(Event):
    """An admin changed the queue or its rules: look for work and for clips to send."""


@dataclass(frozen=True, slots=True)
class AdminNoticeRaised(Event):
    """The admins should see this notice in their chats."""

    notice: Notice


@dataclass(frozen=True, slots=True)
class UserNoticeRaised(Event):
    """The user with this key should get the notice in private."""

    key: str
    notice: Notice


E = TypeVar("E", bound=Event)


class EventBus:
    """Calls the handlers of an event's exact type, in the order in which they subscribed.

    Handlers are plain functions and run within `publish`. A handler that raises is logged; the others still
    run, and `publish` never raises. The bus belongs to one event loop and is not safe for use from threads.
    """

    def __init__(self) -> None:
        self._handlers: dict[type[Event], dict[object, Callable[[Any], object]]] = {}

    def subscribe(self, event_type: type[E], handler: Callable[[E], object]) -> Callable[[], None]:
        """Call `handler` for each event of this type; returns a function that ends the subscription."""
        handlers, key = self._handlers.setdefault(event_type, {}), object()
        handlers[key] = handler

        def unsubscribe() -> None:
            handlers.pop(key, None)

        return unsubscribe

    def publish(self, event: Event) -> None:
        for handler in tuple(self._handlers.get(type(event), {}).values()):
            try:
                handler(event)
            except Exception:  # the publisher must not fail because of a subscriber
                log.exception("an event handler failed", event_type=type(event).__name__)
