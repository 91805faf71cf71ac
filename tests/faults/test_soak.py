"""Days go by with faults and restarts: nothing is lost, doubled or leaked, and it can be seen again."""

from __future__ import annotations

from tests.faults.soak import SoakPlan, SoakResult, run_soak

SHORT = SoakPlan(seed=5, days=6, people=50)


def test_days_of_faults_and_restarts_lose_nothing_and_a_seed_repeats_them() -> None:
    first, again = run_soak(SHORT), run_soak(SHORT)
    for outcome in (first, again):
        assert outcome.problems == []
        assert outcome.states["delivered"] > 100
        assert outcome.states["failed"]
        assert outcome.states["cancelled"]
    assert (first.digest, first.events) == (again.digest, again.events)
    assert run_soak(SoakPlan(seed=6, days=1, people=50)).digest != first.digest
    assert _memory_growth_share(again) < 0.01


def _memory_growth_share(outcome: SoakResult) -> float:
    """A day's growth of memory as a share of it all, after everything was loaded."""
    return outcome.growth_per_day(outcome.memory_blocks) / outcome.memory_blocks[-1]
