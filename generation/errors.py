"""What can go wrong between a wish and a finished clip: facts only. bot/i18n/messages.py finds the words."""

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
    """The name that an error class has now."""
    return OLD_NAMES.get(kind, kind)


class ExplainedError(Exception):
    """An error that is a set of facts; every subclass is a dataclass and can travel as JSON."""

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
    """The wish itself cannot be met: the asker's to mend, nothing is charged."""


@dataclass(eq=False)
class PromptEmpty(RequestError):
    pass


@dataclass(eq=False)
class PromptTooLong(RequestError):
    length: int
    limit: int


@dataclass(eq=False)
class OutOfRange(RequestError):
    """A number outside what the model can do; `low` and `high` are what it can."""

    option: str
    value: float
    low: float
    high: float


@dataclass(eq=False)
class UnknownChoice(RequestError):
    """A name that is none of the choices; `near` is the likeliest meant, if any."""

    option: str
    value: str
    near: str | None
    choices: tuple[str, ...] = ()


@dataclass(eq=False)
class NotOffered(RequestError):
    """The model cannot do this at all: `option` is what was asked for."""

    option: str
    model: str


@dataclass(eq=False)
class MelodyNotSupported(RequestError):
    """A tune was given, and `maker` does not play after one."""

    maker: str


@dataclass(eq=False)
class LimitTooSmall(RequestError):
    """No clip like the one wished for fits under `limit` bytes; `floor` is what it would take."""

    limit: int
    floor: int


@dataclass(eq=False)
class AttachmentRefused(RequestError):
    """An attached file is not what it should be: `reason` is one of the words messages.py knows."""

    name: str
    reason: str


@dataclass(eq=False)
class PresetBroken(ExplainedError):
    """A model's table is unusable: `place` is the key, `problem` goes on from it, `near` was likely meant."""

    place: str
    problem: str
    near: str | None = None


@dataclass(eq=False)
class GenerationError(ExplainedError):
    """The work failed: told with the job's number, refunded, its traceback logged once."""


@dataclass(eq=False)
class ModelMissing(GenerationError):
    """The weights are not on this machine."""

    model: str


@dataclass(eq=False)
class ModelGated(GenerationError):
    """The hub gives these weights only to an account that accepted their terms."""

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
    """The picture came out black, frozen or not a number, also at a second try."""

    model: str


@dataclass(eq=False)
class MusicFailed(GenerationError):
    maker: str
    reason: str


@dataclass(eq=False)
class OutOfMemory(GenerationError):
    model: str


@dataclass(eq=False)
class FfmpegMissing(GenerationError):
    """No ffmpeg that can write H.264 and AAC: `tried` are the programs looked at."""

    tried: tuple[str, ...]


@dataclass(eq=False)
class EncodeFailed(GenerationError):
    """ffmpeg failed or its file did not pass the check; `detail` is for the log."""

    stage: str
    detail: str


@dataclass(eq=False)
class EncoderKilled(EncodeFailed):
    """Somebody ended ffmpeg: the clip can be encoded again."""


@dataclass(eq=False)
class CannotFit(GenerationError):
    """No clip worth watching fits under `limit` bytes; `floor` is the smallest that would."""

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
    """The engine ended under the job; `guilty` is False for a job that only waited its turn there."""

    detail: str
    guilty: bool = True


@dataclass(eq=False)
class EngineStuck(GenerationError):
    """No sign of life or progress within `seconds`; the engine was ended."""

    seconds: float
