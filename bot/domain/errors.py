"""What can stop a person's wish before it costs anything: facts only. messages.py finds the words."""

from __future__ import annotations

from dataclasses import dataclass

from generation.errors import ExplainedError, RequestError


@dataclass(eq=False)
class UserError(ExplainedError):
    """Told in one sentence; no traceback, no charge."""


USER_ERRORS = (UserError, RequestError)
"""Everything that is the asker's to mend, whichever side of the house noticed."""


@dataclass(eq=False)
class QuotaSpent(UserError):
    cost: int
    left: int
    limit: int
    back_at: float  # when the window turns, as a Unix time


@dataclass(eq=False)
class QueueFull(UserError):
    """`whose` is "person", "community" or "all"."""

    whose: str
    waiting: int
    limit: int


@dataclass(eq=False)
class PromptRefused(UserError):
    rule: str
    refusal: int = 0  # under which number it was written down, for an appeal


@dataclass(eq=False)
class Blocked(UserError):
    until: float | None
    reason: str


@dataclass(eq=False)
class OtherChannelsOnly(UserError):
    """Matinee answers in other places of this community only."""

    places: tuple[str, ...]


@dataclass(eq=False)
class TierNotGrantable(UserError):
    """A tier that a server may not give to its roles by itself."""

    tier: str


@dataclass(eq=False)
class NotAllowed(UserError):
    """An admin verb from somebody who is none."""

    verb: str


@dataclass(eq=False)
class NoSuchJob(UserError):
    job: int


@dataclass(eq=False)
class NoClipGiven(UserError):
    """A command about a clip, and nothing says which."""

    command: str


@dataclass(eq=False)
class NoPictureInMessage(UserError):
    """The message that was meant has none."""


@dataclass(eq=False)
class MessageGone(UserError):
    """What a button was about has been deleted in the chat."""


@dataclass(eq=False)
class NoSuchPayment(UserError):
    """Nothing was paid under this name, or it went back already, or some of it was spent."""


@dataclass(eq=False)
class NotYourButtons(UserError):
    """Buttons under a question that was somebody else's."""


@dataclass(eq=False)
class PictureRequired(UserError):
    """A command about a picture came without one."""

    command: str


@dataclass(eq=False)
class NotYourJob(UserError):
    job: int


@dataclass(eq=False)
class TooLate(UserError):
    """The job is past the point where this can be done."""

    job: int
    state: str


@dataclass(eq=False)
class ClipGone(UserError):
    """The job is known but its file was cleaned away."""

    job: int


@dataclass(eq=False)
class DiskLow(UserError):
    free: int
    floor: int


@dataclass(eq=False)
class NotAcceptingJobs(UserError):
    """The studio takes no new jobs: it is paused, draining or stopping."""

    why: str


@dataclass(eq=False)
class RateLimited(UserError):
    """More than `limit` asked for within `seconds`."""

    limit: int
    seconds: float
    back_at: float


@dataclass(eq=False)
class InvalidLinkCode(UserError):
    """A link code that is wrong, too old, used, or one's own."""


@dataclass(eq=False)
class NoSuchPerson(UserError):
    name: str


@dataclass(eq=False)
class NoSuchReport(UserError):
    """No report or appeal of this number waits for an admin."""

    report: int


@dataclass(eq=False)
class NothingToAppeal(UserError):
    """Nothing of this person's was refused lately."""


@dataclass(eq=False)
class ChannelDenied(UserError):
    """An admin keeps Matinee out of this chat."""


@dataclass(eq=False)
class ModelDisabled(UserError):
    model: str


@dataclass(eq=False)
class UnknownVerb(UserError):
    value: str
    near: str | None
    choices: tuple[str, ...]


@dataclass(eq=False)
class BadArgument(UserError):
    """An admin verb was given something it cannot use: `usage` shows how it is written."""

    argument: str
    value: str
    usage: str


@dataclass(eq=False)
class StoreFailed(ExplainedError):
    """The database could not be read or written: the disk, not the person."""

    path: str
    detail: str


@dataclass(eq=False)
class BadOption(UserError):
    """An option that cannot be read; `example` is one that can."""

    option: str
    value: str
    example: str


@dataclass(eq=False)
class OutputUnusable(UserError):
    path: str
    reason: str


@dataclass(eq=False)
class ClipNotAllowed(ExplainedError):
    """The clip shows what is not shown here."""


@dataclass(eq=False)
class NeedsReview(ExplainedError):
    """An admin looks at the clip before anybody else does."""


@dataclass(eq=False)
class CannotDeliver(ExplainedError):
    """The clip is made and kept, but its chat will never take it."""

    platform: str


@dataclass(eq=False)
class Crashed(ExplainedError):
    """Matinee came to an end that nobody foresaw."""


@dataclass(eq=False)
class StartError(ExplainedError):
    """Matinee cannot start: told on the terminal, exit code not 0."""


@dataclass(eq=False)
class ConfigBroken(StartError):
    """`place` says which file or variable, `problem` what is wrong, `near` what was likely meant."""

    place: str
    problem: str
    near: str | None = None


@dataclass(eq=False)
class NoFrontendConfigured(StartError):
    """No chat has a token."""


@dataclass(eq=False)
class AllFrontendsEnded(StartError):
    """Every chat has ended by itself: refused its token, as a rule."""

    chats: tuple[str, ...]


@dataclass(eq=False)
class AlreadyRunning(StartError):
    folder: str
    pid: int | None


@dataclass(eq=False)
class DatabaseCorrupt(StartError):
    path: str
    detail: str


@dataclass(eq=False)
class DatabaseNewer(StartError):
    """Written by a later Matinee than this one."""

    path: str
    found: int
    known: int


@dataclass(eq=False)
class DataFolderUnusable(StartError):
    folder: str
    reason: str
