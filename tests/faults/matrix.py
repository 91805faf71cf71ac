"""Every fault, where it strikes, and what must come of it on each platform."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from generation.failpoint import Place
from tests.fakes.telegram_faults import Fault as Answer
from tests.fakes.telegram_faults import flood, html, refused, reset
from tests.faults.harness import Theatre


class Outcome(StrEnum):
    ONCE = "arrives once"
    ASKED = "in doubt: asked, not repeated"
    REFUNDED = "told and refunded"
    AGAIN = "not taken; asked for again"
    TOLD = "told at once, nothing charged"


ONCE, ASKED, REFUNDED, AGAIN, TOLD = Outcome
Script = Callable[[Theatre], None]
BOTH = ("discord", "telegram")
UPLOADS = ("editMessageMedia", "sendVideo")
"""A clip takes the place of the status message, if that is there already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    stage: str
    what: str
    traps: str = ""
    discord: Outcome | None = None  # None: does not arise there
    telegram: Outcome | None = None
    script: Script | None = None
    real: bool = False  # with the real engine's child, in which alone traps strike

    @property
    def name(self) -> str:
        return f"{self.stage}: {self.what}"

    def outcome(self, platform: str) -> Outcome | None:
        found: Outcome | None = getattr(self, platform)
        return found


def _dies(place: Place, stage: str, what: str, discord: Outcome, telegram: Outcome) -> Fault:
    return Fault(stage=stage, what=what, traps=f"{place}=die", discord=discord, telegram=telegram)


def _fails(place: Place, stage: str, what: str, discord: Outcome, telegram: Outcome) -> Fault:
    return Fault(stage=stage, what=what, traps=f"{place}=fail", discord=discord, telegram=telegram)


def _telegram(what: str, answer: Answer, outcome: Outcome, times: int = 1, *, real: bool = False) -> Fault:
    def script(house: Theatre) -> None:
        for method in UPLOADS:
            house.telegram.fail(method, *[answer] * times)

    return Fault(stage="sending", what=what, telegram=outcome, script=script, real=real)


def _discord(
    what: str,
    outcome: Outcome,
    *,
    real: bool = False,
    methods: tuple[str, ...] = ("PATCH", "POST"),
    **how: object,
) -> Fault:
    def script(house: Theatre) -> None:
        for method in methods:
            house.discord.fail(method, ".", uploads=True, **how)

    return Fault(stage="sending", what=what, discord=outcome, script=script, real=real)


KILLED = (
    _dies(Place.RECOVER, "starting", "killed before sorting out", ONCE, ONCE),
    _dies(Place.RECOVERED, "starting", "killed after sorting out", ONCE, ONCE),
    _dies(Place.SETTLE, "starting", "killed before its backup has a name", ONCE, ONCE),
    _dies(Place.SETTLED, "starting", "killed after its backup has one", ONCE, ONCE),
    _dies(Place.ENQUEUE, "asking", "killed before the job is written", AGAIN, ONCE),
    _dies(Place.ENQUEUED, "asking", "killed before its answer", ONCE, ONCE),
    _dies(Place.CLAIM, "queued", "killed before its turn", ONCE, ONCE),
    _dies(Place.CLAIMED, "rendering", "killed as its turn begins", ONCE, ONCE),
    _dies(Place.MADE, "rendering", "killed before the clip is written down", ONCE, ONCE),
    _dies(Place.RENDERED, "rendered", "killed right after that", ONCE, ONCE),
    _dies(Place.FIT, "fitting", "killed before", ONCE, ONCE),
    _dies(Place.FITTED, "fitting", "killed after", ONCE, ONCE),
    _dies(Place.BEGIN, "sending", "killed before the intent", ONCE, ONCE),
    _dies(Place.BEGUN, "sending", "killed after the intent", ONCE, ASKED),
    _dies(Place.SEND, "sending", "killed as the clip leaves", ONCE, ASKED),
    _dies(Place.SENT, "sending", "killed before the answer is written down", ONCE, ASKED),
    _dies(Place.MARKED, "sent", "killed right after that", ONCE, ONCE),
)

TELLING = (
    Fault(
        stage="failing",
        what="killed before the refund",
        traps=f"{Place.CLAIMED}=fail,{Place.FAIL}=die",
        discord=ONCE,
        telegram=ONCE,
    ),
    Fault(
        stage="failing",
        what="killed before its person is told",
        traps=f"{Place.CLAIMED}=fail,{Place.FAILED}=die",
        discord=REFUNDED,
        telegram=REFUNDED,
    ),
    Fault(
        stage="failing",
        what="killed as its person is told",
        traps=f"{Place.CLAIMED}=fail,{Place.TELL}=die",
        discord=REFUNDED,
        telegram=REFUNDED,
    ),
    Fault(
        stage="failing",
        what="killed before that is written down",
        traps=f"{Place.CLAIMED}=fail,{Place.TOLD}=die",
        discord=REFUNDED,
        telegram=REFUNDED,
    ),
    Fault(
        stage="failing",
        what="disk error at the refund",
        traps=f"{Place.CLAIMED}=fail,{Place.FAIL}=fail",
        discord=REFUNDED,
        telegram=REFUNDED,
    ),
)

DISK = (
    _fails(Place.ENQUEUE, "asking", "disk error before the job is written", TOLD, TOLD),
    _fails(Place.ENQUEUED, "asking", "disk error after it", ONCE, ONCE),
    _fails(Place.CLAIM, "queued", "disk error", ONCE, ONCE),
    _fails(Place.CLAIMED, "rendering", "a bug of ours", REFUNDED, REFUNDED),
    _fails(Place.MADE, "rendering", "disk error before the clip is written down", ONCE, ONCE),
    _fails(Place.RENDERED, "rendered", "disk error after that", ONCE, ONCE),
    _fails(Place.BEGIN, "sending", "disk error before the intent", ONCE, ONCE),
    _fails(Place.BEGUN, "sending", "disk error after the intent", ONCE, ONCE),
    _fails(Place.SEND, "sending", "a bug of ours around the send", ONCE, ASKED),
    _fails(Place.SENT, "sending", "disk error when the chat has it", ONCE, ONCE),
    _fails(Place.MARKED, "sent", "disk error right after that", ONCE, ONCE),
)

HUNG = tuple(
    Fault(stage=stage, what=what, traps=f"{place}=hang", discord=discord, telegram=telegram)
    for place, stage, what, discord, telegram in (
        (Place.CLAIMED, "rendering", "hangs, then killed by the watchdog", ONCE, ONCE),
        (Place.COMMIT, "starting", "the disk hangs, then killed by the watchdog", ONCE, ONCE),
        (Place.SENT, "sending", "hangs when the chat has it, then killed by the watchdog", ONCE, ASKED),
    )
)

CHATS = (
    _telegram("a proxy's 502, taken all the same", html(502, done=True), ASKED),
    _telegram("a proxy's 502, not taken", html(502), ASKED),
    _telegram("connection reset, taken all the same", reset(done=True), ASKED),
    _telegram("connection reset, not taken", reset(done=False), ASKED),
    _telegram("Telegram's own 500", refused(500, "Internal Server Error"), ONCE),
    _telegram("flood wait", flood(1), ONCE),
    _telegram("blocked by the person", refused(403, "Forbidden: bot was blocked by the user"), REFUNDED),
    _telegram("too large for the chat", refused(413, "Request Entity Too Large"), ONCE, real=True),
    _discord("502, taken all the same", ONCE, status=502, commit=True),
    _discord("502, not taken", ONCE, status=502),
    _discord("connection lost, taken all the same", ONCE, drop=True, commit=True),
    _discord("connection lost, not taken", ONCE, drop=True),
    _discord("rate limit", ONCE, retry_after=0.3),
    _discord("token dead", ONCE, methods=("PATCH",), status=401, code=50027),
    _discord("forbidden everywhere", REFUNDED, status=403, code=50013, times=9),
    _discord("too large for the chat", ONCE, status=413, code=40005, real=True),
)

CLIP = 2
"""Among the files of a render that get a name: the first is what there is to look at meanwhile."""

CHILD = tuple(
    Fault(
        stage="rendering",
        what=f"the engine's process killed {when}",
        traps=f"{place}=die@{nth}",
        real=True,
        **{platform: ONCE},  # type: ignore[arg-type]  # it is the same on both: each is shown on one
    )
    for (place, nth, when), platform in zip(
        (
            (Place.PAINT, 1, "before painting"),
            (Place.PAINTED, 1, "after painting"),
            (Place.ENCODED, 1, "after encoding"),
            (Place.SETTLE, CLIP, "before the clip has its name"),
            (Place.SETTLED, CLIP, "right after that"),
            (Place.FINISHED, 1, "before it says so"),
        ),
        BOTH * 3,
        strict=True,
    )
)

MATRIX = (*KILLED, *TELLING, *DISK, *HUNG, *CHATS, *CHILD)
EVERY_COMMIT = (Place.COMMIT, Place.COMMITTED)
"""These are passed often in a clip's life: they are struck at each passing, in a test of their own."""


def declared() -> set[Place]:
    traps = [one for fault in MATRIX for one in fault.traps.split(",") if one]
    return {Place(trap.partition("=")[0]) for trap in traps} | set(EVERY_COMMIT)
