"""Whatever fails, hangs or dies, and wherever: a clip arrives once, or its person is asked, or refunded."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from generation.failpoint import Place
from tests.faults import table
from tests.faults.matrix import ONCE, Fault
from tests.faults.play import Play
from tests.faults.theatre import theatre

pytestmark = pytest.mark.filterwarnings("default::pytest.PytestUnraisableExceptionWarning")
"""A client that is killed while it connects may leave a socket to the loopback that nobody has taken up."""

SHARES = 2
MOST_COMMITS = 30
BOTH_SIDES = ((Place.COMMIT, "telegram"), (Place.COMMITTED, "discord"))


@pytest.mark.timeout(400)
@pytest.mark.parametrize("share", range(SHARES))
async def test_every_fault_ends_as_declared_on_every_platform(tmp_path: Path, share: int) -> None:
    chosen = table.cases()[share::SHARES]
    assert await table.observed(chosen, tmp_path) == table.expected(chosen)


def test_the_page_shows_this_very_matrix() -> None:
    assert table.written() == table.matrix(), "run: python -m tests.faults.table"


@pytest.mark.timeout(400)
async def test_killed_at_any_commit_of_a_clips_life_the_books_are_right(tmp_path: Path) -> None:
    """Before each and after each, one by one, until a clip's whole life has no further commit."""

    async def struck(place: Place, platform: str, nth: int) -> bool:
        fault = Fault(stage="any", what="killed", traps=f"{place}=die@{nth}", discord=ONCE, telegram=ONCE)
        async with theatre(tmp_path / f"{place}-{nth}") as house:
            played = Play(house, platform, fault, surely=False)
            await played.run()
            return bool(played.notes)

    met = {Place.COMMIT: 0, Place.COMMITTED: 0}
    for first in range(1, MOST_COMMITS, 2):
        each = [(place, platform, nth) for place, platform in BOTH_SIDES for nth in (first, first + 1)]
        found = await asyncio.gather(*(struck(*one) for one in each))
        for (place, _, _), hit in zip(each, found, strict=True):
            met[place] += hit
        if not any(found):
            break
    assert all(5 < count < MOST_COMMITS - 2 for count in met.values())
