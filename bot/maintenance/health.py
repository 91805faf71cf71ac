"""Is a running Matinee well? Judged from outside, by its pulse."""

from __future__ import annotations

from dataclasses import dataclass

from bot.maintenance.heartbeat import HealthState, Heartbeat

MAX_HEARTBEAT_AGE = 15.0
"""Seconds without a beat, of which one a second is due: the event loop, the process or the disk is stuck."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthProblem:
    """What is wrong: `part` is "matinee" for the whole of it."""

    part: str
    life: HealthState
    since: float | None
    why: str = ""


def find_problems(heartbeat: Heartbeat | None, *, monotonic_now: float) -> list[HealthProblem]:
    """Nothing in it means that all is well."""
    if heartbeat is None:
        return [HealthProblem(part="matinee", life=HealthState.DEAD, since=None)]
    if (
        not 0 <= monotonic_now - heartbeat.steady <= MAX_HEARTBEAT_AGE
    ):  # before: the machine was started anew meanwhile
        return [HealthProblem(part="matinee", life=HealthState.STUCK, since=heartbeat.at)]
    return [
        HealthProblem(part=name, life=part.life, since=part.since, why=part.why)
        for name, part in heartbeat.parts.items()
        if part.life is not HealthState.HEALTHY
    ]
