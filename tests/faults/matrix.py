"""Every fault, where it strikes, and what must come of it on each platform."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from generation.failpoint import FailPoint
from tests.fakes.telegram_faults import Fault as Answer
from tests.fakes.telegram_faults import api_error, connection_reset, flood_error, html_error
from tests.faults.harness import BotHarness


class Outcome(StrEnum):
    DELIVERED_ONCE = "arrives once"
    ASKED = "in doubt: asked, not repeated"
    REFUNDED = "told and refunded"
    RESUBMITTED = "not taken; asked for again"
    REJECTED = "told at once, nothing charged"


DELIVERED_ONCE, ASKED, REFUNDED, RESUBMITTED, REJECTED = Outcome
FaultScript = Callable[[BotHarness], None]
PLATFORMS = ("discord", "telegram")
UPLOAD_METHODS = ("editMessageMedia", "sendVideo")
"""A clip takes the place of the status message, if that is there already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    stage: str
    description: str
    failpoints: str = ""
    discord: Outcome | None = None  # None: does not arise there
    telegram: Outcome | None = None
    script: FaultScript | None = None
    real_engine: bool = False  # with the real engine's child, in which alone traps strike

    @property
    def name(self) -> str:
        return f"{self.stage}: {self.description}"

    def expected_outcome(self, platform: str) -> Outcome | None:
        found: Outcome | None = getattr(self, platform)
        return found


def _killed_at(
    fail_point: FailPoint, stage: str, description: str, discord: Outcome, telegram: Outcome
) -> Fault:
    return Fault(
        stage=stage,
        description=description,
        failpoints=f"{fail_point}=die",
        discord=discord,
        telegram=telegram,
    )


def _error_at(
    fail_point: FailPoint, stage: str, description: str, discord: Outcome, telegram: Outcome
) -> Fault:
    return Fault(
        stage=stage,
        description=description,
        failpoints=f"{fail_point}=fail",
        discord=discord,
        telegram=telegram,
    )


def _telegram_fault(
    description: str, answer: Answer, outcome: Outcome, times: int = 1, *, real_engine: bool = False
) -> Fault:
    def script(harness: BotHarness) -> None:
        for method in UPLOAD_METHODS:
            harness.telegram.fail_next(method, *[answer] * times)

    return Fault(
        stage="sending", description=description, telegram=outcome, script=script, real_engine=real_engine
    )


def _discord_fault(
    description: str,
    outcome: Outcome,
    *,
    real_engine: bool = False,
    methods: tuple[str, ...] = ("PATCH", "POST"),
    **answer: object,
) -> Fault:
    def script(harness: BotHarness) -> None:
        for method in methods:
            harness.discord.add_fault(method, ".", uploads=True, **answer)

    return Fault(
        stage="sending", description=description, discord=outcome, script=script, real_engine=real_engine
    )


BOT_KILLED = (
    _killed_at(FailPoint.RECOVER, "starting", "killed before sorting out", DELIVERED_ONCE, DELIVERED_ONCE),
    _killed_at(FailPoint.RECOVERED, "starting", "killed after sorting out", DELIVERED_ONCE, DELIVERED_ONCE),
    _killed_at(
        FailPoint.RENAME, "starting", "killed before its backup has a name", DELIVERED_ONCE, DELIVERED_ONCE
    ),
    _killed_at(
        FailPoint.RENAMED, "starting", "killed after its backup has one", DELIVERED_ONCE, DELIVERED_ONCE
    ),
    _killed_at(FailPoint.ENQUEUE, "asking", "killed before the job is written", RESUBMITTED, DELIVERED_ONCE),
    _killed_at(FailPoint.ENQUEUED, "asking", "killed before its answer", DELIVERED_ONCE, DELIVERED_ONCE),
    _killed_at(FailPoint.CLAIM, "queued", "killed before its turn", DELIVERED_ONCE, DELIVERED_ONCE),
    _killed_at(FailPoint.CLAIMED, "rendering", "killed as its turn begins", DELIVERED_ONCE, DELIVERED_ONCE),
    _killed_at(
        FailPoint.RECEIVED,
        "rendering",
        "killed before the clip is written down",
        DELIVERED_ONCE,
        DELIVERED_ONCE,
    ),
    _killed_at(
        FailPoint.RENDER_RECORDED, "rendered", "killed right after that", DELIVERED_ONCE, DELIVERED_ONCE
    ),
    _killed_at(FailPoint.FIT, "fitting", "killed before", DELIVERED_ONCE, DELIVERED_ONCE),
    _killed_at(FailPoint.FITTED, "fitting", "killed after", DELIVERED_ONCE, DELIVERED_ONCE),
    _killed_at(
        FailPoint.RECORD_INTENT, "sending", "killed before the intent", DELIVERED_ONCE, DELIVERED_ONCE
    ),
    _killed_at(FailPoint.INTENT_RECORDED, "sending", "killed after the intent", DELIVERED_ONCE, ASKED),
    _killed_at(FailPoint.SEND, "sending", "killed as the clip leaves", DELIVERED_ONCE, ASKED),
    _killed_at(FailPoint.SENT, "sending", "killed before the answer is written down", DELIVERED_ONCE, ASKED),
    _killed_at(
        FailPoint.DELIVERY_RECORDED, "sent", "killed right after that", DELIVERED_ONCE, DELIVERED_ONCE
    ),
)

NOTIFICATION_FAULTS = (
    Fault(
        stage="failing",
        description="killed before the refund",
        failpoints=f"{FailPoint.CLAIMED}=fail,{FailPoint.FAIL}=die",
        discord=DELIVERED_ONCE,
        telegram=DELIVERED_ONCE,
    ),
    Fault(
        stage="failing",
        description="killed before its person is told",
        failpoints=f"{FailPoint.CLAIMED}=fail,{FailPoint.FAILED}=die",
        discord=REFUNDED,
        telegram=REFUNDED,
    ),
    Fault(
        stage="failing",
        description="killed as its person is told",
        failpoints=f"{FailPoint.CLAIMED}=fail,{FailPoint.SEND_STATUS}=die",
        discord=REFUNDED,
        telegram=REFUNDED,
    ),
    Fault(
        stage="failing",
        description="killed before that is written down",
        failpoints=f"{FailPoint.CLAIMED}=fail,{FailPoint.STATUS_SENT}=die",
        discord=REFUNDED,
        telegram=REFUNDED,
    ),
    Fault(
        stage="failing",
        description="disk error at the refund",
        failpoints=f"{FailPoint.CLAIMED}=fail,{FailPoint.FAIL}=fail",
        discord=REFUNDED,
        telegram=REFUNDED,
    ),
)

DISK_ERRORS = (
    _error_at(FailPoint.ENQUEUE, "asking", "disk error before the job is written", REJECTED, REJECTED),
    _error_at(FailPoint.ENQUEUED, "asking", "disk error after it", DELIVERED_ONCE, DELIVERED_ONCE),
    _error_at(FailPoint.CLAIM, "queued", "disk error", DELIVERED_ONCE, DELIVERED_ONCE),
    _error_at(FailPoint.CLAIMED, "rendering", "a bug of ours", REFUNDED, REFUNDED),
    _error_at(
        FailPoint.RECEIVED,
        "rendering",
        "disk error before the clip is written down",
        DELIVERED_ONCE,
        DELIVERED_ONCE,
    ),
    _error_at(FailPoint.RENDER_RECORDED, "rendered", "disk error after that", DELIVERED_ONCE, DELIVERED_ONCE),
    _error_at(
        FailPoint.RECORD_INTENT, "sending", "disk error before the intent", DELIVERED_ONCE, DELIVERED_ONCE
    ),
    _error_at(
        FailPoint.INTENT_RECORDED, "sending", "disk error after the intent", DELIVERED_ONCE, DELIVERED_ONCE
    ),
    _error_at(FailPoint.SEND, "sending", "a bug of ours around the send", DELIVERED_ONCE, ASKED),
    _error_at(FailPoint.SENT, "sending", "disk error when the chat has it", DELIVERED_ONCE, DELIVERED_ONCE),
    _error_at(
        FailPoint.DELIVERY_RECORDED, "sent", "disk error right after that", DELIVERED_ONCE, DELIVERED_ONCE
    ),
)

BOT_HUNG = tuple(
    Fault(stage=stage, description=what, failpoints=f"{place}=hang", discord=discord, telegram=telegram)
    for place, stage, what, discord, telegram in (
        (
            FailPoint.CLAIMED,
            "rendering",
            "hangs, then killed by the watchdog",
            DELIVERED_ONCE,
            DELIVERED_ONCE,
        ),
        (
            FailPoint.COMMIT,
            "starting",
            "the disk hangs, then killed by the watchdog",
            DELIVERED_ONCE,
            DELIVERED_ONCE,
        ),
        (
            FailPoint.SENT,
            "sending",
            "hangs when the chat has it, then killed by the watchdog",
            DELIVERED_ONCE,
            ASKED,
        ),
    )
)

CHAT_FAULTS = (
    _telegram_fault("a proxy's 502, taken all the same", html_error(502, performed=True), ASKED),
    _telegram_fault("a proxy's 502, not taken", html_error(502), ASKED),
    _telegram_fault("connection reset, taken all the same", connection_reset(performed=True), ASKED),
    _telegram_fault("connection reset, not taken", connection_reset(performed=False), ASKED),
    _telegram_fault("Telegram's own 500", api_error(500, "Internal Server Error"), DELIVERED_ONCE),
    _telegram_fault("flood wait", flood_error(1), DELIVERED_ONCE),
    _telegram_fault(
        "blocked by the person", api_error(403, "Forbidden: bot was blocked by the user"), REFUNDED
    ),
    _telegram_fault(
        "too large for the chat", api_error(413, "Request Entity Too Large"), DELIVERED_ONCE, real_engine=True
    ),
    _discord_fault("502, taken all the same", DELIVERED_ONCE, status=502, commit=True),
    _discord_fault("502, not taken", DELIVERED_ONCE, status=502),
    _discord_fault("connection lost, taken all the same", DELIVERED_ONCE, drop=True, commit=True),
    _discord_fault("connection lost, not taken", DELIVERED_ONCE, drop=True),
    _discord_fault("rate limit", DELIVERED_ONCE, retry_after=0.3),
    _discord_fault("token dead", DELIVERED_ONCE, methods=("PATCH",), status=401, code=50027),
    _discord_fault("forbidden everywhere", REFUNDED, status=403, code=50013, times=9),
    _discord_fault("too large for the chat", DELIVERED_ONCE, status=413, code=40005, real_engine=True),
)

CLIP_FILE_NUMBER = 2
"""Among the files of a render that get a name: the first is what there is to look at meanwhile."""

ENGINE_KILLED = tuple(
    Fault(
        stage="rendering",
        description=f"the engine's process killed {when}",
        failpoints=f"{place}=die@{nth}",
        real_engine=True,
        **{platform: DELIVERED_ONCE},  # type: ignore[arg-type]  # it is the same on both: each is shown on one
    )
    for (place, nth, when), platform in zip(
        (
            (FailPoint.GENERATE, 1, "before painting"),
            (FailPoint.GENERATED, 1, "after painting"),
            (FailPoint.ENCODED, 1, "after encoding"),
            (FailPoint.RENAME, CLIP_FILE_NUMBER, "before the clip has its name"),
            (FailPoint.RENAMED, CLIP_FILE_NUMBER, "right after that"),
            (FailPoint.FINISHED, 1, "before it says so"),
        ),
        PLATFORMS * 3,
        strict=True,
    )
)

MATRIX = (*BOT_KILLED, *NOTIFICATION_FAULTS, *DISK_ERRORS, *BOT_HUNG, *CHAT_FAULTS, *ENGINE_KILLED)
COMMIT_FAIL_POINTS = (FailPoint.COMMIT, FailPoint.COMMITTED)
"""These are passed often in a clip's life: they are struck at each passing, in a test of their own."""


def declared_fail_points() -> set[FailPoint]:
    failpoints = [one for fault in MATRIX for one in fault.failpoints.split(",") if one]
    return {FailPoint(failpoint.partition("=")[0]) for failpoint in failpoints} | set(COMMIT_FAIL_POINTS)
