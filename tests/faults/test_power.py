"""Whatever moment the power is cut at, what somebody was told is safe is there afterwards."""

from __future__ import annotations

import pytest

from tests.faults.power import power_cuts

IMAGES = 2000


@pytest.mark.timeout(300)  # ten seconds of work, on a machine that has them
def test_no_power_cut_loses_what_was_told() -> None:
    toll = power_cuts(IMAGES, seed=5)
    assert (toll.images, toll.lost, toll.broken) == (IMAGES, [], [])
    assert toll.pending > IMAGES // 3, "something was on its way"


def test_a_store_that_synced_less_would_be_caught() -> None:
    assert power_cuts(IMAGES // 10, seed=5, synchronous="NORMAL").lost
