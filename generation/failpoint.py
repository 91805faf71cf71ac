"""Named places where a test makes a real process fail, hang or die; off, one costs a look at an empty dict.

`MATINEE_FAILPOINTS="sent=die@2,committed=fail"` arms them in a process and its children. A place once struck
is written to the file that `MATINEE_FAILPOINTS_NOTES` names, and never struck again while that stands there.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

ENV_VAR = "MATINEE_FAILPOINTS"
TRIGGERED_FILE_ENV_VAR = f"{ENV_VAR}_NOTES"


class FailPoint(StrEnum):
    """In the order in which a clip passes them."""

    RECOVER = "recover"  # a start is about to sort out what the last run left
    RECOVERED = "recovered"
    ENQUEUE = "enqueue"  # a wish is allowed and complete
    ENQUEUED = "enqueued"  # its row is safe, and nobody was told yet
    COMMIT = "commit"  # a transaction is about to be made safe, whosever it is
    COMMITTED = "committed"  # it is safe, and nobody was told yet
    CLAIM = "claim"  # a job has its turn, and no row says so
    CLAIMED = "claimed"  # the job is ours, and the engine knows nothing of it yet
    GENERATE = "paint"  # in the child
    GENERATED = "painted"  # in the child: the frames are there
    ENCODED = "encoded"  # in the child: the file has its name, but no mark yet
    RENAME = "settle"  # a finished file is about to get its name
    RENAMED = "settled"
    FINISHED = "finished"  # in the child: the clip is whole, and the parent does not know
    RECEIVED = "made"  # the engine handed the clip over, and no row says so
    RENDER_RECORDED = "rendered"  # the row says so
    FAIL = "fail"  # a job is about to be given up
    FAILED = "failed"  # it is refunded, and its person does not know
    FIT = "fit"  # the clip is about to be made to measure
    FITTED = "fitted"
    RECORD_INTENT = "begin"  # the intent to send is about to be written
    INTENT_RECORDED = "begun"  # it is written
    SEND = "send"  # the clip is about to leave
    SENT = "sent"  # the chat has it, and no row says so
    DELIVERY_RECORDED = "marked"  # the row says so
    SEND_STATUS = "tell"  # a job's last word is about to be said
    STATUS_SENT = "told"  # it was said, and no row says so


class Effect(StrEnum):
    FAIL = "fail"  # raise what such a place raises when the disk or the network is ill
    HANG = "hang"  # never come back
    DIE = "die"  # as by kill -9
    EXIT = "exit"  # leave at once, with a code of 0


@dataclass(slots=True)
class Armed:
    effect: Effect
    trigger_on: int = 1  # the passing at which it strikes
    pass_count: int = field(default=0)


ARMED_POINTS: dict[FailPoint, Armed] = {}


def pass_failpoint(point: FailPoint, error: Callable[[], Exception] | None = None) -> None:
    """Nothing, unless this place is armed. `error` makes what is raised here when it is to fail."""
    if ARMED_POINTS:
        _trigger_if_due(point, error or _simulated_disk_error)


def _simulated_disk_error() -> Exception:
    return OSError(5, "Input/output error")


def _trigger_if_due(point: FailPoint, error: Callable[[], Exception]) -> None:
    armed = ARMED_POINTS.get(point)
    if armed is None:
        return
    armed.pass_count += 1
    if armed.pass_count != armed.trigger_on or point in already_triggered():
        return
    _record_triggered(point)
    if armed.effect is Effect.FAIL:
        raise error()
    if armed.effect is Effect.HANG:
        time.sleep(3600.0)
    if armed.effect is Effect.DIE:
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(0)


def already_triggered() -> set[str]:
    """The places where it has struck already, in this process or one before it."""
    notes = os.environ.get(TRIGGERED_FILE_ENV_VAR)
    return set(Path(notes).read_text(encoding="ascii").split()) if notes and Path(notes).is_file() else set()


def _record_triggered(point: FailPoint) -> None:
    if notes := os.environ.get(TRIGGERED_FILE_ENV_VAR):
        with Path(notes).open("a", encoding="ascii") as file:
            file.write(f"{point}\n")


def parse(text: str) -> dict[FailPoint, Armed]:
    """Raises ValueError for anything that is none of our places and deeds."""
    armed = {}
    for one in filter(None, (part.strip() for part in text.split(","))):
        point, _, rest = one.partition("=")
        effect, _, nth = rest.partition("@")
        armed[FailPoint(point)] = Armed(Effect(effect), int(nth or 1))
    return armed


def arm(environment: Mapping[str, str]) -> None:
    ARMED_POINTS.clear()
    ARMED_POINTS.update(parse(environment.get(ENV_VAR, "")))


arm(os.environ)
