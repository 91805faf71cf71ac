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

VARIABLE = "MATINEE_FAILPOINTS"
NOTES = f"{VARIABLE}_NOTES"


class Place(StrEnum):
    """In the order in which a clip passes them."""

    RECOVER = "recover"  # a start is about to sort out what the last run left
    RECOVERED = "recovered"
    ENQUEUE = "enqueue"  # a wish is allowed and complete
    ENQUEUED = "enqueued"  # its row is safe, and nobody was told yet
    COMMIT = "commit"  # a transaction is about to be made safe, whosever it is
    COMMITTED = "committed"  # it is safe, and nobody was told yet
    CLAIM = "claim"  # a job has its turn, and no row says so
    CLAIMED = "claimed"  # the job is ours, and the engine knows nothing of it yet
    PAINT = "paint"  # in the child
    PAINTED = "painted"  # in the child: the frames are there
    ENCODED = "encoded"  # in the child: the file has its name, but no mark yet
    SETTLE = "settle"  # a finished file is about to get its name
    SETTLED = "settled"
    FINISHED = "finished"  # in the child: the clip is whole, and the parent does not know
    MADE = "made"  # the engine handed the clip over, and no row says so
    RENDERED = "rendered"  # the row says so
    FAIL = "fail"  # a job is about to be given up
    FAILED = "failed"  # it is refunded, and its person does not know
    FIT = "fit"  # the clip is about to be made to measure
    FITTED = "fitted"
    BEGIN = "begin"  # the intent to send is about to be written
    BEGUN = "begun"  # it is written
    SEND = "send"  # the clip is about to leave
    SENT = "sent"  # the chat has it, and no row says so
    MARKED = "marked"  # the row says so
    TELL = "tell"  # a job's last word is about to be said
    TOLD = "told"  # it was said, and no row says so


class Deed(StrEnum):
    FAIL = "fail"  # raise what such a place raises when the disk or the network is ill
    HANG = "hang"  # never come back
    DIE = "die"  # as by kill -9
    EXIT = "exit"  # leave at once, with a code of 0


@dataclass(slots=True)
class Trap:
    deed: Deed
    nth: int = 1  # the passing at which it strikes
    passed: int = field(default=0)


ARMED: dict[Place, Trap] = {}


def here(place: Place, error: Callable[[], Exception] | None = None) -> None:
    """Nothing, unless this place is armed. `error` makes what is raised here when it is to fail."""
    if ARMED:
        _pass(place, error or _ill)


def _ill() -> Exception:
    return OSError(5, "Input/output error")


def _pass(place: Place, error: Callable[[], Exception]) -> None:
    trap = ARMED.get(place)
    if trap is None:
        return
    trap.passed += 1
    if trap.passed != trap.nth or place in struck():
        return
    _note(place)
    if trap.deed is Deed.FAIL:
        raise error()
    if trap.deed is Deed.HANG:
        time.sleep(3600.0)
    if trap.deed is Deed.DIE:
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(0)


def struck() -> set[str]:
    """The places where it has struck already, in this process or one before it."""
    notes = os.environ.get(NOTES)
    return set(Path(notes).read_text(encoding="ascii").split()) if notes and Path(notes).is_file() else set()


def _note(place: Place) -> None:
    if notes := os.environ.get(NOTES):
        with Path(notes).open("a", encoding="ascii") as file:
            file.write(f"{place}\n")


def read(text: str) -> dict[Place, Trap]:
    """Raises ValueError for anything that is none of our places and deeds."""
    traps = {}
    for one in filter(None, (part.strip() for part in text.split(","))):
        place, _, rest = one.partition("=")
        deed, _, nth = rest.partition("@")
        traps[Place(place)] = Trap(Deed(deed), int(nth or 1))
    return traps


def arm(environment: Mapping[str, str]) -> None:
    ARMED.clear()
    ARMED.update(read(environment.get(VARIABLE, "")))


arm(os.environ)
