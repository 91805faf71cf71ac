"""Judge the health of a running Matinee from outside, by its heartbeat file."""

from __future__ import annotations

from dataclasses import dataclass

from bot.maintenance.heartbeat import HealthState, Heartbeat

MAX_HEARTBEAT_AGE = 15.0
"""In seconds. A heartbeat is due every second; an older one means a stuck event loop, process or disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthProblem:
    """A part that is not healthy; "matinee" is the whole process."""

    part: str
    life: HealthState
    since: float | None
    why: str = ""


def find_problems(heartbeat: Heartbeat | None, *, monotonic_now: float) -> list[HealthProblem]:
    """The unhealthy parts; empty if all are healthy."""
    if heartbeat is None:
        return [HealthProblem(part="matinee", life=HealthState.DEAD, since=None)]
    age = monotonic_now - heartbeat.steady  # negative if the machine was rebooted since
    if not 0 <= age <= MAX_HEARTBEAT_AGE:
        return [HealthProblem(part="matinee", life=HealthState.STUCK, since=heartbeat.at)]
    return [
        HealthProblem(part=name, life=part.life, since=part.since, why=part.why)
        for name, part in heartbeat.parts.items()
        if part.life is not HealthState.HEALTHY
    ]
