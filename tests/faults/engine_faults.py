"""What the engine's process may do to a job, and what must become of that."""

from __future__ import annotations

from dataclasses import dataclass

REFUNDED = "told and refunded; the same process goes on"
SET_ASIDE = "made again once; the second time set aside, told and refunded; the next job is made"
DELIVERED_ONCE = "arrives once"


@dataclass(frozen=True, slots=True)
class EngineFault:
    """`verb` is what the plug-in family of the engine's tests does at its first step."""

    trigger_prompt: str
    description: str
    outcome: str
    error: str = ""


ENGINE_FAULTS = (
    EngineFault("oom", "runs out of the card's memory", REFUNDED, "OutOfMemory"),
    EngineFault("nan", "paints frames that are not numbers", REFUNDED, "BadFrames"),
    EngineFault("raise:oh", "fails with an error of the model's own", REFUNDED, "PictureFailed"),
    EngineFault("segfault", "crashes by a segmentation fault", SET_ASIDE, "EngineDied"),
    EngineFault("exit:0", "leaves with exit code 0", SET_ASIDE, "EngineDied"),
    EngineFault(
        "freeze", "hangs, deaf to everything: missed after three heartbeats", SET_ASIDE, "EngineDied"
    ),
    EngineFault("stop", "is stopped (SIGSTOP): missed after three heartbeats", SET_ASIDE, "EngineDied"),
    EngineFault("hang", "makes no headway in a step: given up when that lasts", SET_ASIDE, "EngineStuck"),
    EngineFault("print:500", "prints rubbish on its standard output", DELIVERED_ONCE),
)
