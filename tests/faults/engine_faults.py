"""What the engine process may do while it renders a job, and the expected outcome."""

from __future__ import annotations

from dataclasses import dataclass

REFUNDED = "refunded, the user is notified; the process keeps running"
SET_ASIDE = "retried once, then set aside and refunded, the user is notified; the next job is rendered"
DELIVERED_ONCE = "delivered once"


@dataclass(frozen=True, slots=True)
class EngineFault:
    """`trigger_prompt` makes the faulty model family of the engine tests misbehave at its first step."""

    trigger_prompt: str
    description: str
    outcome: str
    error: str = ""


ENGINE_FAULTS = (
    EngineFault("oom", "runs out of GPU memory", REFUNDED, "OutOfMemory"),
    EngineFault("nan", "generates frames that are not numbers (NaN)", REFUNDED, "BadFrames"),
    EngineFault("raise:oh", "raises an error of the model", REFUNDED, "PictureFailed"),
    EngineFault("segfault", "crashes with a segmentation fault", SET_ASIDE, "EngineDied"),
    EngineFault("exit:0", "exits with code 0", SET_ASIDE, "EngineDied"),
    EngineFault("freeze", "freezes: ended after three missed heartbeats", SET_ASIDE, "EngineDied"),
    EngineFault("stop", "is stopped (SIGSTOP): ended after three missed heartbeats", SET_ASIDE, "EngineDied"),
    EngineFault("hang", "makes no progress in a step: ended after the stall limit", SET_ASIDE, "EngineStuck"),
    EngineFault("print:500", "prints other text to its standard output", DELIVERED_ONCE),
)
