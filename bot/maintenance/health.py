"""Is a running Matinee well? Judged from outside, by its pulse."""

from __future__ import annotations

from dataclasses import dataclass

from bot.maintenance.heartbeat import Life, Pulse

SILENT = 15.0
"""Seconds without a beat, of which one a second is due: the event loop, the process or the disk is stuck."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ailment:
    """What is wrong: `part` is "matinee" for the whole of it."""

    part: str
    life: Life
    since: float | None
    why: str = ""


def judge(pulse: Pulse | None, *, steady: float) -> list[Ailment]:
    """Nothing in it means that all is well."""
    if pulse is None:
        return [Ailment(part="matinee", life=Life.DEAD, since=None)]
    if not 0 <= steady - pulse.steady <= SILENT:  # before: the machine was started anew meanwhile
        return [Ailment(part="matinee", life=Life.STUCK, since=pulse.at)]
    return [
        Ailment(part=name, life=part.life, since=part.since, why=part.why)
        for name, part in pulse.parts.items()
        if part.life is not Life.WELL
    ]
