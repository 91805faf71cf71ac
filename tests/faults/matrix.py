"""The fault matrix: every fault, the stage at which it occurs, and its expected outcome on each platform."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from generation.failpoint import FailPoint
from tests.fakes.telegram_faults import Fault as Answer
from tests.fakes.telegram_faults import api_error, connection_reset, flood_error, html_error
from tests.faults.harness import BotHarness


class Outcome(StrEnum):
    DELIVERED_ONCE = "delivered once"
    ASKED = "perhaps sent: not repeated, the user is asked"
    REFUNDED = "refunded, the user is notified"
    RESUBMITTED = "not accepted; the user submits it again"
    REJECTED = "rejected with an error message, not charged"


DELIVERED_ONCE, ASKED, REFUNDED, RESUBMITTED, REJECTED = Outcome
FaultScript = Callable[[BotHarness], None]
PLATFORMS = ("discord", "telegram")
UPLOAD_METHODS = ("editMessageMedia", "sendVideo")
"""A clip replaces the status message if there is one; otherwise it is a new message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    stage: str
    description: str
    failpoints: str = ""
    discord: Outcome | None = None  # None: cannot occur there
    telegram: Outcome | None = None
    script: FaultScript | None = None
    real_engine: bool = False  # with the real engine; failpoints then trigger only in its child process

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
    _killed_at(FailPoint.RECOVER, "starting", "killed before recovery", DELIVERED_ONCE, DELIVERED_ONCE),
    _killed_at(FailPoint.RECOVERED, "starting", "killed after recovery", DELIVERED_ONCE, DELIVERED_ONCE),
    _killed_at(
        FailPoint.RENAME, "starting", "killed before the backup is renamed", DELIVERED_ONCE, DELIVERED_ONCE
    ),
    _killed_at(
        FailPoint.RENAMED, "starting", "killed after the backup is renamed", DELIVERED_ONCE, DELIVERED_ONCE
    ),
    _killed_at(
        FailPoint.ENQUEUE, "submitting", "killed before the job is saved", RESUBMITTED, DELIVERED_ONCE
    ),
    _killed_at(FailPoint.ENQUEUED, "submitting", "killed before the reply", DELIVERED_ONCE, DELIVERED_ONCE),
    _killed_at(FailPoint.CLAIM, "queued", "killed before the job is claimed", DELIVERED_ONCE, DELIVERED_ONCE),
    _killed_at(
        FailPoint.CLAIMED, "rendering", "killed after the job is claimed", DELIVERED_ONCE, DELIVERED_ONCE
    ),
    _killed_at(
        FailPoint.RECEIVED,
        "rendering",
        "killed before the clip is recorded",
        DELIVERED_ONCE,
        DELIVERED_ONCE,
    ),
    _killed_at(
        FailPoint.RENDER_RECORDED,
        "rendered",
        "killed after the clip is recorded",
        DELIVERED_ONCE,
        DELIVERED_ONCE,
    ),
    _killed_at(FailPoint.FIT, "fitting", "killed before the clip is fitted", DELIVERED_ONCE, DELIVERED_ONCE),
    _killed_at(
        FailPoint.FITTED, "fitting", "killed after the clip is fitted", DELIVERED_ONCE, DELIVERED_ONCE
    ),
    _killed_at(
        FailPoint.RECORD_INTENT,
        "sending",
        "killed before the intent to send is recorded",
        DELIVERED_ONCE,
        DELIVERED_ONCE,
    ),
    _killed_at(
        FailPoint.INTENT_RECORDED,
        "sending",
        "killed after the intent to send is recorded",
        DELIVERED_ONCE,
        ASKED,
    ),
    _killed_at(FailPoint.SEND, "sending", "killed before the request is sent", DELIVERED_ONCE, ASKED),
    _killed_at(FailPoint.SENT, "sending", "killed before the response is recorded", DELIVERED_ONCE, ASKED),
    _killed_at(
        FailPoint.DELIVERY_RECORDED,
        "sent",
        "killed after the delivery is recorded",
        DELIVERED_ONCE,
        DELIVERED_ONCE,
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
        description="killed before the user is notified",
        failpoints=f"{FailPoint.CLAIMED}=fail,{FailPoint.FAILED}=die",
        discord=REFUNDED,
        telegram=REFUNDED,
    ),
    Fault(
        stage="failing",
        description="killed before the notification is sent",
        failpoints=f"{FailPoint.CLAIMED}=fail,{FailPoint.SEND_STATUS}=die",
        discord=REFUNDED,
        telegram=REFUNDED,
    ),
    Fault(
        stage="failing",
        description="killed before the notification is recorded",
        failpoints=f"{FailPoint.CLAIMED}=fail,{FailPoint.STATUS_SENT}=die",
        discord=REFUNDED,
        telegram=REFUNDED,
    ),
    Fault(
        stage="failing",
        description="disk error during the refund",
        failpoints=f"{FailPoint.CLAIMED}=fail,{FailPoint.FAIL}=fail",
        discord=REFUNDED,
        telegram=REFUNDED,
    ),
)

DISK_ERRORS = (
    _error_at(FailPoint.ENQUEUE, "submitting", "disk error before the job is saved", REJECTED, REJECTED),
    _error_at(
        FailPoint.ENQUEUED, "submitting", "disk error after the job is saved", DELIVERED_ONCE, DELIVERED_ONCE
    ),
    _error_at(FailPoint.CLAIM, "queued", "disk error while claiming", DELIVERED_ONCE, DELIVERED_ONCE),
    _error_at(FailPoint.CLAIMED, "rendering", "a bug in Matinee", REFUNDED, REFUNDED),
    _error_at(
        FailPoint.RECEIVED,
        "rendering",
        "disk error before the clip is recorded",
        DELIVERED_ONCE,
        DELIVERED_ONCE,
    ),
    _error_at(
        FailPoint.RENDER_RECORDED,
        "rendered",
        "disk error after the clip is recorded",
        DELIVERED_ONCE,
        DELIVERED_ONCE,
    ),
    _error_at(
        FailPoint.RECORD_INTENT,
        "sending",
        "disk error before the intent to send is recorded",
        DELIVERED_ONCE,
        DELIVERED_ONCE,
    ),
    _error_at(
        FailPoint.INTENT_RECORDED,
        "sending",
        "disk error after the intent to send is recorded",
        DELIVERED_ONCE,
        DELIVERED_ONCE,
    ),
    _error_at(FailPoint.SEND, "sending", "a bug in Matinee while sending", DELIVERED_ONCE, ASKED),
    _error_at(
        FailPoint.SENT,
        "sending",
        "disk error after the chat accepted the clip",
        DELIVERED_ONCE,
        DELIVERED_ONCE,
    ),
    _error_at(
        FailPoint.DELIVERY_RECORDED,
        "sent",
        "disk error after the delivery is recorded",
        DELIVERED_ONCE,
        DELIVERED_ONCE,
    ),
)

BOT_HUNG = tuple(
    Fault(
        stage=stage,
        description=description,
        failpoints=f"{fail_point}=hang",
        discord=discord,
        telegram=telegram,
    )
    for fail_point, stage, description, discord, telegram in (
        (
            FailPoint.CLAIMED,
            "rendering",
            "hangs, killed by the watchdog",
            DELIVERED_ONCE,
            DELIVERED_ONCE,
        ),
        (
            FailPoint.COMMIT,
            "starting",
            "the disk hangs, killed by the watchdog",
            DELIVERED_ONCE,
            DELIVERED_ONCE,
        ),
        (
            FailPoint.SENT,
            "sending",
            "hangs after the chat accepted the clip, killed by the watchdog",
            DELIVERED_ONCE,
            ASKED,
        ),
    )
)

CHAT_FAULTS = (
    _telegram_fault("502 from a proxy, clip accepted", html_error(502, performed=True), ASKED),
    _telegram_fault("502 from a proxy, clip not accepted", html_error(502), ASKED),
    _telegram_fault("connection reset, clip accepted", connection_reset(performed=True), ASKED),
    _telegram_fault("connection reset, clip not accepted", connection_reset(performed=False), ASKED),
    _telegram_fault("500 from Telegram", api_error(500, "Internal Server Error"), DELIVERED_ONCE),
    _telegram_fault("flood wait", flood_error(1), DELIVERED_ONCE),
    _telegram_fault(
        "bot blocked by the user", api_error(403, "Forbidden: bot was blocked by the user"), REFUNDED
    ),
    _telegram_fault(
        "too large for the chat", api_error(413, "Request Entity Too Large"), DELIVERED_ONCE, real_engine=True
    ),
    _discord_fault("502, clip accepted", DELIVERED_ONCE, status=502, commit=True),
    _discord_fault("502, clip not accepted", DELIVERED_ONCE, status=502),
    _discord_fault("connection lost, clip accepted", DELIVERED_ONCE, drop=True, commit=True),
    _discord_fault("connection lost, clip not accepted", DELIVERED_ONCE, drop=True),
    _discord_fault("rate limit", DELIVERED_ONCE, retry_after=0.3),
    _discord_fault("interaction token expired", DELIVERED_ONCE, methods=("PATCH",), status=401, code=50027),
    _discord_fault("forbidden on every route", REFUNDED, status=403, code=50013, times=9),
    _discord_fault("too large for the chat", DELIVERED_ONCE, status=413, code=40005, real_engine=True),
)

CLIP_FILE_NUMBER = 2
"""A render renames the preview image first, then the clip."""

ENGINE_KILLED = tuple(
    Fault(
        stage="rendering",
        description=f"the engine process is killed {when}",
        failpoints=f"{fail_point}=die@{nth}",
        real_engine=True,
        **{platform: DELIVERED_ONCE},  # type: ignore[arg-type]  # the platform does not matter: each case runs on one
    )
    for (fail_point, nth, when), platform in zip(
        (
            (FailPoint.GENERATE, 1, "before frames are generated"),
            (FailPoint.GENERATED, 1, "after frames are generated"),
            (FailPoint.ENCODED, 1, "after encoding"),
            (FailPoint.RENAME, CLIP_FILE_NUMBER, "before the clip is renamed"),
            (FailPoint.RENAMED, CLIP_FILE_NUMBER, "after the clip is renamed"),
            (FailPoint.FINISHED, 1, "before it reports the clip"),
        ),
        PLATFORMS * 3,
        strict=True,
    )
)

MATRIX = (*BOT_KILLED, *NOTIFICATION_FAULTS, *DISK_ERRORS, *BOT_HUNG, *CHAT_FAULTS, *ENGINE_KILLED)
COMMIT_FAIL_POINTS = (FailPoint.COMMIT, FailPoint.COMMITTED)
"""A job passes these many times; a test of its own triggers them at each pass."""


def declared_fail_points() -> set[FailPoint]:
    armed = [entry for fault in MATRIX for entry in fault.failpoints.split(",") if entry]
    return {FailPoint(entry.partition("=")[0]) for entry in armed} | set(COMMIT_FAIL_POINTS)
