"""A small chaos in the suite; the large one is `python -m tests.faults.chaos`."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.faults.chaos import Chaos
from tests.faults.harness import theatre

pytestmark = pytest.mark.filterwarnings("default::pytest.PytestUnraisableExceptionWarning")
"""A client that is killed while it connects may leave a socket to the loopback that nobody has taken up."""


@pytest.mark.timeout(400)
async def test_a_bot_that_is_killed_at_random_loses_and_doubles_nothing(tmp_path: Path) -> None:
    async with theatre(tmp_path) as house:
        chaos = Chaos(house, kills=6, jobs=30, draw=random.Random(4))
        books = await chaos.run(within=300)
    assert books.wrong() == {}
    assert books.states.total() >= 30
    assert chaos.struck.total() == 6
