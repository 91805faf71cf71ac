"""Errors between a wish and a finished clip. They hold facts only; bot/i18n/messages.py has the sentences."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

OLD_NAMES = {
    "BadCode": "InvalidLinkCode",
    "ChannelClosed": "ChannelDenied",
    "ChatsLost": "AllFrontendsEnded",
    "ClipRefused": "ClipNotAllowed",
    "Closing": "NotAcceptingJobs",
    "Died": "Crashed",
    "ElsewhereOnly": "OtherChannelsOnly",
    "ModelOff": "ModelDisabled",
    "NoClipMeant": "NoClipGiven",
    "NoPicture": "NoPictureInMessage",
    "NoTune": "MelodyNotSupported",
    "NotForYou": "NotYourButtons",
    "NotYours": "NotYourJob",
    "NothingToServe": "NoFrontendConfigured",
    "PaintFailed": "PictureFailed",
    "PictureMissing": "PictureRequired",
    "ScoreFailed": "MusicFailed",
    "TierKept": "TierNotGrantable",
    "TooFast": "RateLimited",
}
"""Errors are stored by name, so the names of earlier versions must still be read."""


def current_name(kind: str) -> str:
    """The current name of an error class."""
    return OLD_NAMES.get(kind, kind)


class ExplainedError(Exception):
    """An error that consists of facts. Every subclass is a dataclass and converts to JSON."""

    kinds: ClassVar[dict[str, type[ExplainedError]]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.kinds[cls.__name__] = cls

    def facts(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]  # subclasses are dataclasses

    def __str__(self) -> str:
        return (
            f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.facts().items())})"
        )

    def to_json(self) -> dict[str, Any]:
        return {"kind": type(self).__name__, "facts": self.facts()}

    @staticmethod
    def from_json(data: dict[str, Any]) -> ExplainedError:
        return ExplainedError.kinds[current_name(data["kind"])](**data["facts"])


@dataclass(eq=False)
class RequestError(ExplainedError):
    """The wish cannot be met. The user can correct it; nothing is charged."""


@dataclass(eq=False)
class PromptEmpty(RequestError):
    pass


@dataclass(eq=False)
class PromptTooLong(RequestError):
    length: int
    limit: int


@dataclass(eq=False)
class OutOfRange(RequestError):
    """A number outside the model's range, which is `low` to `high`."""

    option: str
    value: float
    low: float
    high: float


@dataclass(eq=False)
class UnknownChoice(RequestError):
    """A name that is not among the choices; `near` is the most similar choice, if any."""

    option: str
    value: str
    near: str | None
    choices: tuple[str, ...] = ()


@dataclass(eq=False)
class NotOffered(RequestError):
    """The model does not support `option` at all."""

    option: str
    model: str


@dataclass(eq=False)
class MelodyNotSupported(RequestError):
    """A melody was given, but `maker` cannot follow one."""

    maker: str


@dataclass(eq=False)
class LimitTooSmall(RequestError):
    """No such clip fits in `limit` bytes; `floor` is the smallest limit that would do."""

    limit: int
    floor: int


@dataclass(eq=False)
class AttachmentRefused(RequestError):
    """An attached file cannot be used; `reason` is a keyword that messages.py translates."""

    name: str
    reason: str


@dataclass(eq=False)
class PresetBroken(ExplainedError):
    """A model's table is invalid: `problem` is about the key `place`; `near` is a similar valid name."""

    place: str
    problem: str
    near: str | None = None


@dataclass(eq=False)
class GenerationError(ExplainedError):
    """A render failed. The job is refunded, its number is in the message and the traceback is logged once."""


@dataclass(eq=False)
class ModelMissing(GenerationError):
    """The weights are not on this machine."""

    model: str


@dataclass(eq=False)
class ModelGated(GenerationError):
    """The hub offers these weights only to accounts that accepted their terms."""

    model: str
    source: str


@dataclass(eq=False)
class HubUnreachable(GenerationError):
    model: str
    reason: str


@dataclass(eq=False)
class ModelBroken(GenerationError):
    model: str
    reason: str


@dataclass(eq=False)
class PictureFailed(GenerationError):
    model: str
    reason: str


@dataclass(eq=False)
class BadFrames(GenerationError):
    """The frames were black, frozen or not a number, also on the second attempt."""

    model: str


@dataclass(eq=False)
class MusicFailed(GenerationError):
    maker: str
    reason: str


@dataclass(eq=False)
class BadAudio(GenerationError):
    """The music was silent or not a number, also on the second attempt."""

    maker: str


@dataclass(eq=False)
class OutOfMemory(GenerationError):
    model: str


@dataclass(eq=False)
class FfmpegMissing(GenerationError):
    """No ffmpeg that can write H.264 and AAC; `tried` lists the programs that were checked."""

    tried: tuple[str, ...]


@dataclass(eq=False)
class EncodeFailed(GenerationError):
    """ffmpeg failed, or its file did not pass verification; `detail` is for the log."""

    stage: str
    detail: str


@dataclass(eq=False)
class EncoderKilled(EncodeFailed):
    """ffmpeg was killed from outside: encoding can be retried."""


@dataclass(eq=False)
class CannotFit(GenerationError):
    """No clip of acceptable quality fits in `limit` bytes; `floor` is the smallest limit that would do."""

    limit: int
    floor: int


@dataclass(eq=False)
class DiskFull(GenerationError):
    folder: str


@dataclass(eq=False)
class FolderUnwritable(GenerationError):
    folder: str


@dataclass(eq=False)
class EngineDied(GenerationError):
    """The engine process ended during the job; `guilty` is False for a job that cannot be the cause."""

    detail: str
    guilty: bool = True


@dataclass(eq=False)
class EngineStuck(GenerationError):
    """No progress within `seconds`; the engine process was killed."""

    seconds: float
