"""Days go by with faults and restarts: nothing is lost, doubled or leaked, and it can be seen again."""

from __future__ import annotations

from tests.faults.soak import Outcome, Plan, soak

SHORT = Plan(seed=5, days=6, people=50)


def test_days_with_faults_and_restarts_lose_and_double_nothing_and_the_same_seed_is_the_same_days() -> None:
    first, again = soak(SHORT), soak(SHORT)
    for outcome in (first, again):
        assert outcome.wrong == []
        assert outcome.states["delivered"] > 100
        assert outcome.states["failed"]
        assert outcome.states["cancelled"]
    assert (first.digest, first.events) == (again.digest, again.events)
    assert soak(Plan(seed=6, days=1, people=50)).digest != first.digest
    assert _creep(again) < 0.01


def _creep(outcome: Outcome) -> float:
    """A day's growth of memory as a share of it all, after everything was loaded."""
    return outcome.slope(outcome.blocks) / outcome.blocks[-1]
