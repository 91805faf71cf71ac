"""Whatever fails, hangs or dies, and wherever: a clip arrives once, or its person is asked, or refunded."""

from __future__ import annotations

from pathlib import Path

import pytest

from generation.failpoint import Place
from tests.faults import table
from tests.faults.matrix import ONCE, Fault
from tests.faults.play import Play
from tests.faults.theatre import maternity, theatre

SHARES = 3
MOST_COMMITS = 30


@pytest.mark.timeout(400)
@pytest.mark.parametrize("share", range(SHARES))
async def test_every_fault_ends_as_declared_on_every_platform(tmp_path: Path, share: int) -> None:
    chosen = table.cases()[share::SHARES]
    assert await table.observed(chosen, tmp_path) == table.expected(chosen)


def test_the_page_shows_this_very_matrix() -> None:
    assert table.written() == table.matrix(), "run: python -m tests.faults.table"


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("place", "platform"), [(Place.COMMIT, "telegram"), (Place.COMMITTED, "discord")], ids=str
)
async def test_killed_at_any_commit_of_a_clips_life_the_books_are_right(
    tmp_path: Path, place: Place, platform: str
) -> None:
    """Before each and after each, one by one, until a clip's whole life has no further commit."""
    async with maternity() as bears:
        for nth in range(1, MOST_COMMITS):
            fault = Fault(stage="any", what="killed", traps=f"{place}=die@{nth}", discord=ONCE, telegram=ONCE)
            async with theatre(tmp_path / str(nth), bears) as house:
                played = Play(house, platform, fault, surely=False)
                await played.run()
                if not played.notes:
                    break
    assert 5 < nth < MOST_COMMITS
