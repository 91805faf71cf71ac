"""Errors of the bot, as facts only. bot.i18n.messages turns them into sentences."""

from __future__ import annotations

from dataclasses import dataclass

from generation.errors import ExplainedError, RequestError


@dataclass(eq=False)
class UserError(ExplainedError):
    """An error that the user can correct: explained in one sentence, without a traceback or a charge."""


USER_ERRORS = (UserError, RequestError)
"""All errors that the user can correct, raised by the bot or by generation."""


@dataclass(eq=False)
class QuotaSpent(UserError):
    cost: int
    left: int
    limit: int
    back_at: float  # when the next window begins, as a Unix time


@dataclass(eq=False)
class QueueFull(UserError):
    """`whose` is "person", "community" or "all"."""

    whose: str
    waiting: int
    limit: int


@dataclass(eq=False)
class PromptRefused(UserError):
    rule: str
    refusal: int = 0  # the number of the refusal, for an appeal
    is_certain: bool = False  # a severe rule that is broken for certain brings a time-out


@dataclass(eq=False)
class Blocked(UserError):
    until: float | None
    reason: str


@dataclass(eq=False)
class OtherChannelsOnly(UserError):
    """Matinee answers only in other channels of this community.

    The studio gives their ids, and a frontend the names that its users know.
    """

    places: tuple[str, ...]


@dataclass(eq=False)
class NotInThatChat(UserError):
    """A clip for a chat in which its requester is not."""


@dataclass(eq=False)
class TierNotGrantable(UserError):
    """A tier that server admins may not give to their roles."""

    tier: str


@dataclass(eq=False)
class NotAllowed(UserError):
    """An admin verb from a user who is not an admin."""

    verb: str


@dataclass(eq=False)
class NoSuchJob(UserError):
    job: int


@dataclass(eq=False)
class NoClipGiven(UserError):
    """A command about a clip that names no clip."""

    command: str


@dataclass(eq=False)
class NoPictureInMessage(UserError):
    """The message has no picture."""


@dataclass(eq=False)
class MessageGone(UserError):
    """The message that a button refers to was deleted in the chat."""


@dataclass(eq=False)
class NoSuchPayment(UserError):
    """There is no such payment, or it was returned, or some of its credits were spent."""


@dataclass(eq=False)
class RefundUnderWay(UserError):
    """The platform was asked to return the payment and has not answered yet."""


@dataclass(eq=False)
class NotYourButtons(UserError):
    """The buttons belong to a question of another user."""


@dataclass(eq=False)
class PictureRequired(UserError):
    """A command needs a picture and got none."""

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
    """The job exists, but its file was deleted."""

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
    """More than `limit` requests within `seconds`."""

    limit: int
    seconds: float
    back_at: float


@dataclass(eq=False)
class UploadLimitReached(UserError):
    """More bytes of attached files than `limit` within a day."""

    limit: int
    back_at: float


@dataclass(eq=False)
class InvalidLinkCode(UserError):
    """A link code or request that is wrong, expired, used, or created by the same account."""


@dataclass(eq=False)
class AlreadyLinked(UserError):
    """One of the two users shares an account already."""


@dataclass(eq=False)
class NotLinked(UserError):
    """There is no link to undo."""


@dataclass(eq=False)
class PrivateChatOnly(UserError):
    """A command that is answered only in private, because others would read the answer."""


@dataclass(eq=False)
class NoSuchPerson(UserError):
    name: str


@dataclass(eq=False)
class NoSuchReport(UserError):
    """There is no open report or appeal with this number."""

    report: int


@dataclass(eq=False)
class NothingToAppeal(UserError):
    """None of the user's recent wishes was refused."""


@dataclass(eq=False)
class ChannelDenied(UserError):
    """An admin denied this chat."""


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
    """An admin verb got an argument that it cannot use; `usage` shows the syntax."""

    argument: str
    value: str
    usage: str


@dataclass(eq=False)
class StoreFailed(ExplainedError):
    """The database could not be read or written, because of the disk."""

    path: str
    detail: str


@dataclass(eq=False)
class BadOption(UserError):
    """An option that cannot be parsed; `example` is a valid value."""

    option: str
    value: str
    example: str


@dataclass(eq=False)
class OutputUnusable(UserError):
    path: str
    reason: str


@dataclass(eq=False)
class ClipNotAllowed(ExplainedError):
    """The clip shows content that is not allowed here."""


@dataclass(eq=False)
class NeedsReview(ExplainedError):
    """An admin must review the clip before it is sent."""


@dataclass(eq=False)
class CannotDeliver(ExplainedError):
    """The clip is rendered and kept, but its chat will never accept it."""

    platform: str


@dataclass(eq=False)
class Crashed(ExplainedError):
    """Matinee ended because of an unexpected error."""


@dataclass(eq=False)
class StartError(ExplainedError):
    """Matinee cannot start. The terminal shows the reason, and the exit code is not 0."""


@dataclass(eq=False)
class ConfigBroken(StartError):
    """`place` names the file or variable, `problem` says what is wrong, `near` what was likely meant."""

    place: str
    problem: str
    near: str | None = None


@dataclass(eq=False)
class NoFrontendConfigured(StartError):
    """No frontend is configured: none has a token."""


@dataclass(eq=False)
class AllFrontendsEnded(StartError):
    """Every frontend has ended by itself, usually because its token was refused."""

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
    """The database was written by a later version of Matinee."""

    path: str
    found: int
    known: int


@dataclass(eq=False)
class DataFolderUnusable(StartError):
    folder: str
    reason: str
