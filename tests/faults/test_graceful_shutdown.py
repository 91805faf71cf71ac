"""Asked to end, Matinee ends kindly: nothing new, what can finish finishes, the rest waits uncharged."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot.domain.jobs import State
from tests.bot.app_harness import until
from tests.fakes.telegram_users import Someone
from tests.fakes.telegram_world import Message
from tests.faults.bot_process import Life
from tests.faults.consistency import Row, close, rows_of, shown_on_telegram
from tests.faults.harness import Theatre, theatre
from tests.paths import ROOT

pytestmark = pytest.mark.filterwarnings("default::pytest.PytestUnraisableExceptionWarning")
"""A client that is killed while it connects may leave a socket to the loopback that nobody has taken up."""

PATIENT = 60.0


@asynccontextmanager
async def alone(life: Life) -> AsyncIterator[asyncio.subprocess.Process]:
    """As an operator starts it, with an exit code of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.bot_process", life.to_json(), cwd=ROOT, start_new_session=True
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def reached(house: Theatre, *states: State) -> list[Row]:
    return await until(lambda: _all_in(house, states), PATIENT)


def _all_in(house: Theatre, states: tuple[State, ...]) -> list[Row] | None:
    rows = rows_of(house)
    return rows if rows and all(row.state in states for row in rows) else None


@pytest.mark.timeout(300)
async def test_what_can_finish_finishes_and_the_rest_waits_for_the_next_start(tmp_path: Path) -> None:
    async with theatre(tmp_path) as house:
        ada = Someone(house.telegram, "Ada")
        async with alone(house.life("telegram", grace=12.0, pauses=(0.0, 4.0, 90.0))) as process:
            for number in (1, 2, 3):
                await ada.writes(f"/video wish {number} of somebody --silent")
                await ada.hears(f"#{number}", within=PATIENT)
            await until(lambda: _begun(house, 3), PATIENT)
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), PATIENT) == 0
        first, second, third = rows_of(house)
        assert [first.state, second.state] == [State.DELIVERED] * 2
        assert (third.state, third.attempt) == (State.QUEUED, 0)
        assert house.rows("SELECT count(*) FROM ledger WHERE job = 3 AND kind <> 'reserve'") == [(0,)]
        async with alone(house.life("telegram")) as process:
            rows = await reached(house, State.DELIVERED)
            assert [shown_on_telegram(house.telegram, row) for row in rows] == [1, 1, 1]
            assert [len(_clips(ada, number)) for number in (1, 2, 3)] == [1, 1, 1]
            process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(process.wait(), PATIENT)
    assert close(house).wrong() == {}


def _clips(ada: Someone, number: int) -> list[Message]:
    return [m for m in ada.heard() if m.kind == "video" and f"wish {number} of" in m.text]


def _begun(house: Theatre, job: int) -> bool | None:
    return any(row.id == job and row.state is not State.QUEUED for row in rows_of(house)) or None


@pytest.mark.timeout(300)
async def test_a_start_after_a_crash_sends_what_is_finished_before_anything_new_is_made(
    tmp_path: Path,
) -> None:
    async with theatre(tmp_path) as house:
        ada = Someone(house.telegram, "Ada")
        environment = {"MATINEE_FAILPOINTS": "rendered=die", "MATINEE_FAILPOINTS_NOTES": str(tmp_path / "n")}
        pid = await house.start(house.life("telegram", environment=environment))
        await ada.writes("/video wish 1 of somebody --silent")
        await house.ended(pid)
        await ada.writes("/video wish 2 of somebody --silent")
        await house.start(house.life("telegram", pauses=(60.0,)))
        rows = await until(lambda: _delivered(house, 1), PATIENT)
        assert [row.state for row in rows][:1] == [State.DELIVERED]
        assert all(row.state is not State.DELIVERED for row in rows[1:])


def _delivered(house: Theatre, job: int) -> list[Row] | None:
    rows = rows_of(house)
    return rows if any(row.id == job and row.state is State.DELIVERED for row in rows) else None
