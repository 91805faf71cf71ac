"""What the engine's process may do to a job, and what must become of that."""

from __future__ import annotations

from dataclasses import dataclass

REFUSED = "told and refunded; the same process goes on"
ASIDE = "made again once; the second time set aside, told and refunded; the next job is made"
ARRIVES = "arrives once"


@dataclass(frozen=True, slots=True)
class EngineFault:
    """`verb` is what the plug-in family of the engine's tests does at its first step."""

    verb: str
    what: str
    becomes: str
    error: str = ""


ENGINE = (
    EngineFault("oom", "runs out of the card's memory", REFUSED, "OutOfMemory"),
    EngineFault("nan", "paints frames that are not numbers", REFUSED, "BadFrames"),
    EngineFault("raise:oh", "fails with an error of the model's own", REFUSED, "PaintFailed"),
    EngineFault("segfault", "crashes by a segmentation fault", ASIDE, "EngineDied"),
    EngineFault("exit:0", "leaves with exit code 0", ASIDE, "EngineDied"),
    EngineFault("freeze", "hangs, deaf to everything: missed after three heartbeats", ASIDE, "EngineDied"),
    EngineFault("stop", "is stopped (SIGSTOP): missed after three heartbeats", ASIDE, "EngineDied"),
    EngineFault("hang", "makes no headway in a step: given up when that lasts", ASIDE, "EngineStuck"),
    EngineFault("print:500", "prints rubbish on its standard output", ARRIVES),
)
