"""After a power cut at any moment, every acknowledged commit is still there."""

from __future__ import annotations

import pytest

from tests.faults.power_loss import power_cuts

pytestmark = pytest.mark.slow

IMAGES = 2000


@pytest.mark.timeout(300)  # ten seconds on an idle machine
def test_no_power_cut_loses_an_acknowledged_commit() -> None:
    result = power_cuts(IMAGES, seed=5)
    assert (result.images, result.lost, result.broken) == (IMAGES, [], [])
    assert result.with_pending_writes > IMAGES // 3, "too few power cuts hit pending writes"


def test_a_store_that_syncs_less_is_detected() -> None:
    assert power_cuts(IMAGES // 10, seed=5, synchronous="NORMAL").lost
