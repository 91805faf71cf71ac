"""Whatever fails, hangs or dies, and wherever: a clip arrives once, or its person is asked, or refunded."""

from __future__ import annotations

import asyncio
from itertools import product
from pathlib import Path

import pytest

from generation.failpoint import Place
from tests.faults import matrix_docs
from tests.faults.harness import theatre
from tests.faults.matrix import BOTH, EVERY_COMMIT, ONCE, Fault
from tests.faults.scenario import Play

pytestmark = pytest.mark.filterwarnings("default::pytest.PytestUnraisableExceptionWarning")
"""A client that is killed while it connects may leave a socket to the loopback that nobody has taken up."""

SHARES = 2
MOST_COMMITS = 30


@pytest.mark.timeout(600)
@pytest.mark.parametrize("share", range(SHARES))
async def test_every_fault_ends_as_declared_on_every_platform(tmp_path: Path, share: int) -> None:
    chosen = matrix_docs.cases()[share::SHARES]
    assert await matrix_docs.observed(chosen, tmp_path) == matrix_docs.expected(chosen)


def test_the_page_shows_this_very_matrix() -> None:
    assert matrix_docs.written() == matrix_docs.matrix(), "run: python -m tests.faults.matrix_docs"


@pytest.mark.timeout(600)
async def test_killed_at_any_commit_of_a_clips_life_the_books_are_right(tmp_path: Path) -> None:
    """Before each and after each, one by one, until a clip's whole life has no further commit."""

    async def struck(platform: str, place: Place, nth: int) -> bool:
        fault = Fault(stage="any", what="killed", traps=f"{place}=die@{nth}", discord=ONCE, telegram=ONCE)
        async with theatre(tmp_path / f"{platform}-{place}-{nth}") as house:
            played = Play(house, platform, fault, surely=False)
            await played.run()
            return bool(played.notes)

    met = dict.fromkeys(product(BOTH, EVERY_COMMIT), 0)
    for nth in range(1, MOST_COMMITS):
        found = await asyncio.gather(*(struck(*each, nth) for each in met))
        for each, hit in zip(met, found, strict=True):
            met[each] += hit
        if not any(found):
            break
    assert all(5 < count < MOST_COMMITS - 2 for count in met.values())
