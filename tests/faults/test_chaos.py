"""A short chaos run; `python -m tests.faults.chaos` runs a long one."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.faults.chaos import Chaos
from tests.faults.harness import bot_harness

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default::pytest.PytestUnraisableExceptionWarning"),
]
"""A client that is killed while it connects may leave a socket that the fake server never accepted."""


@pytest.mark.timeout(400)
async def test_a_bot_killed_at_random_neither_loses_nor_duplicates_clips(tmp_path: Path) -> None:
    async with bot_harness(tmp_path) as harness:
        chaos = Chaos(harness, kills=6, jobs=30, rng=random.Random(4))
        report = await chaos.run(within=300)
    assert report.problems() == {}
    assert report.states.total() >= 30
    assert chaos.kills_done.total() == 6
