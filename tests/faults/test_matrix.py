"""After every fault the clip is delivered once, or the user is asked or refunded."""

from __future__ import annotations

import asyncio
from itertools import product
from pathlib import Path

import pytest

from generation.failpoint import FailPoint
from tests.faults import matrix_docs
from tests.faults.harness import bot_harness
from tests.faults.matrix import COMMIT_FAIL_POINTS, DELIVERED_ONCE, PLATFORMS, Fault
from tests.faults.scenario import FaultScenario

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default::pytest.PytestUnraisableExceptionWarning"),
]
"""A client that is killed while it connects may leave a socket that the fake server never accepted."""

SHARDS = 2
MAX_COMMITS = 30


@pytest.mark.timeout(600)
@pytest.mark.parametrize("shard", range(SHARDS))
async def test_every_fault_ends_as_declared_on_every_platform(tmp_path: Path, shard: int) -> None:
    chosen = matrix_docs.cases()[shard::SHARDS]
    assert await matrix_docs.run_cases(chosen, tmp_path) == matrix_docs.expected_outcomes(chosen)


def test_the_page_shows_the_current_matrix() -> None:
    assert matrix_docs.documented_tables() == matrix_docs.render_tables(), (
        "run: python -m tests.faults.matrix_docs"
    )


@pytest.mark.timeout(600)
async def test_a_kill_at_any_commit_leaves_the_ledger_correct(tmp_path: Path) -> None:
    """Kill before and after each commit, one at a time, until a job makes no further commit."""

    async def kill_at_commit(platform: str, fail_point: FailPoint, nth: int) -> bool:
        fault = Fault(
            stage="any",
            description="killed",
            failpoints=f"{fail_point}=die@{nth}",
            discord=DELIVERED_ONCE,
            telegram=DELIVERED_ONCE,
        )
        async with bot_harness(tmp_path / f"{platform}-{fail_point}-{nth}") as harness:
            scenario = FaultScenario(harness, platform, fault, must_trigger=False)
            await scenario.run()
            return bool(scenario.triggered)

    commits_hit = dict.fromkeys(product(PLATFORMS, COMMIT_FAIL_POINTS), 0)
    for nth in range(1, MAX_COMMITS):
        found = await asyncio.gather(*(kill_at_commit(*each, nth) for each in commits_hit))
        for combination, hit in zip(commits_hit, found, strict=True):
            commits_hit[combination] += hit
        if not any(found):
            break
    assert all(5 < count < MAX_COMMITS - 2 for count in commits_hit.values())
