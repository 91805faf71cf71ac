"""Days of faults and restarts: nothing is lost, duplicated or leaked, and a seed repeats the run."""

from __future__ import annotations

import pytest

from tests.faults.soak import SoakPlan, SoakResult, run_soak

pytestmark = pytest.mark.slow

SHORT = SoakPlan(seed=5, days=6, people=50)


def test_days_of_faults_and_restarts_lose_nothing_and_a_seed_repeats_them() -> None:
    first, second = run_soak(SHORT), run_soak(SHORT)
    for result in (first, second):
        assert result.problems == []
        assert result.states["delivered"] > 100
        assert result.states["failed"]
        assert result.states["cancelled"]
    assert (first.digest, first.events) == (second.digest, second.events)
    assert run_soak(SoakPlan(seed=6, days=1, people=50)).digest != first.digest
    assert _memory_growth_share(second) < 0.01


def _memory_growth_share(result: SoakResult) -> float:
    """Memory growth per day as a share of all memory, after warm-up."""
    return result.growth_per_day(result.memory_blocks) / result.memory_blocks[-1]
