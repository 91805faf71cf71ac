"""Whatever moment the power is cut at, what somebody was told is safe is there afterwards."""

from __future__ import annotations

import pytest

from tests.faults.power import power_cuts

IMAGES = 2000


@pytest.mark.timeout(300)  # ten seconds of work, on a machine that has them
def test_no_power_cut_loses_an_acknowledged_commit() -> None:
    result = power_cuts(IMAGES, seed=5)
    assert (result.images, result.lost, result.broken) == (IMAGES, [], [])
    assert result.with_pending_writes > IMAGES // 3, "something was on its way"


def test_a_store_that_syncs_less_is_detected() -> None:
    assert power_cuts(IMAGES // 10, seed=5, synchronous="NORMAL").lost
