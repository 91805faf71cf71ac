"""Failpoints: named places in the code where a test makes a real process fail, hang or die.

`MATINEE_FAILPOINTS="sent=die@2,committed=fail"` arms them in a process and its children. When a failpoint
triggers, its name is appended to the file that `MATINEE_FAILPOINTS_TRIGGERED` names; a failpoint listed
there does not trigger again. While none is armed, passing a failpoint costs one test of an empty dict.
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
TRIGGERED_FILE_ENV_VAR = f"{ENV_VAR}_TRIGGERED"


class FailPoint(StrEnum):
    """The failpoints, in the order in which a job passes them."""

    RECOVER = "recover"  # before the start-up recovery of what the last run left
    RECOVERED = "recovered"
    ENQUEUE = "enqueue"  # the request is allowed and complete
    ENQUEUED = "enqueued"  # its row is committed; the frontend has not been answered
    COMMIT = "commit"  # before any transaction is committed
    COMMITTED = "committed"  # after the commit; the caller does not know yet
    CLAIM = "claim"  # a job was picked; no row says so
    CLAIMED = "claimed"  # the job is ours; the engine has not got it yet
    GENERATE = "generate"  # in the engine process, before the frames are generated
    GENERATED = "generated"  # in the engine process, after that
    ENCODED = "encoded"  # in the engine process: the file has its name, but is not signed yet
    RENAME = "rename"  # before a finished file gets its name
    RENAMED = "renamed"
    FINISHED = "finished"  # in the engine process: the clip is complete; the bot does not know yet
    RECEIVED = "received"  # the engine returned the clip; no row says so
    RENDER_RECORDED = "render_recorded"  # the row says so
    FAIL = "fail"  # before a job is marked as failed
    FAILED = "failed"  # it is refunded; the user does not know yet
    FIT = "fit"  # before the clip is re-encoded to fit the size limit
    FITTED = "fitted"
    RECORD_INTENT = "record_intent"  # before the intent to send is committed
    INTENT_RECORDED = "intent_recorded"
    SEND = "send"  # before the clip is sent
    SENT = "sent"  # the chat has it; no row says so
    DELIVERY_RECORDED = "delivery_recorded"  # the row says so
    SEND_STATUS = "send_status"  # before a job's final status is sent
    STATUS_SENT = "status_sent"  # it was sent; no row says so


class Effect(StrEnum):
    FAIL = "fail"  # raise what this place raises when the disk or the network fails
    HANG = "hang"  # block for an hour
    DIE = "die"  # as by kill -9
    EXIT = "exit"  # exit at once with code 0


@dataclass(slots=True)
class Armed:
    effect: Effect
    trigger_on: int = 1  # which pass triggers it
    pass_count: int = field(default=0)


ARMED_POINTS: dict[FailPoint, Armed] = {}


def pass_failpoint(point: FailPoint, error: Callable[[], Exception] | None = None) -> None:
    """Trigger the failpoint if it is armed. `error` creates the exception for Effect.FAIL."""
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
    """The failpoints that have triggered, in this process or an earlier one."""
    file = os.environ.get(TRIGGERED_FILE_ENV_VAR)
    return set(Path(file).read_text(encoding="ascii").split()) if file and Path(file).is_file() else set()


def _record_triggered(point: FailPoint) -> None:
    if path := os.environ.get(TRIGGERED_FILE_ENV_VAR):
        with Path(path).open("a", encoding="ascii") as file:
            file.write(f"{point}\n")


def parse(text: str) -> dict[FailPoint, Armed]:
    """Read "failpoint=effect@pass,..."; raises ValueError for an unknown failpoint or effect."""
    armed = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        point, _, rest = entry.partition("=")
        effect, _, nth = rest.partition("@")
        armed[FailPoint(point)] = Armed(Effect(effect), int(nth or 1))
    return armed


def arm(environment: Mapping[str, str]) -> None:
    ARMED_POINTS.clear()
    ARMED_POINTS.update(parse(environment.get(ENV_VAR, "")))


arm(os.environ)
