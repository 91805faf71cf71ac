"""A graceful shutdown starts nothing new, lets jobs finish and requeues the rest at no charge."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot.domain.jobs import JobState
from tests.bot.app_harness import wait_until
from tests.fakes.telegram_users import TelegramUser
from tests.fakes.telegram_world import Message
from tests.faults.bot_process import BotRun
from tests.faults.consistency import JobRow, check_consistency, count_on_telegram, job_rows
from tests.faults.harness import BotHarness, bot_harness
from tests.paths import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default::pytest.PytestUnraisableExceptionWarning"),
]
"""A client that is killed while it connects may leave a socket that the fake server never accepted."""

TIMEOUT_SECONDS = 60.0


@asynccontextmanager
async def bot_process(run: BotRun) -> AsyncIterator[asyncio.subprocess.Process]:
    """The bot started as an operator starts it, as its own process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.bot_process", run.to_json(), cwd=ROOT, start_new_session=True
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def wait_for_states(harness: BotHarness, *states: JobState) -> list[JobRow]:
    return await wait_until(lambda: _rows_if_all_in(harness, states), TIMEOUT_SECONDS)


def _rows_if_all_in(harness: BotHarness, states: tuple[JobState, ...]) -> list[JobRow] | None:
    rows = job_rows(harness)
    return rows if rows and all(row.state in states for row in rows) else None


@pytest.mark.timeout(300)
async def test_jobs_that_can_finish_do_and_the_rest_wait_for_the_next_start(tmp_path: Path) -> None:
    async with bot_harness(tmp_path) as harness:
        ada = TelegramUser(harness.telegram, "Ada")
        async with bot_process(harness.bot_run("telegram", grace=12.0, pauses=(0.0, 4.0, 90.0))) as process:
            for number in (1, 2, 3):
                await ada.writes(f"/video wish {number} of somebody --silent")
                await ada.hears(f"#{number}", within=TIMEOUT_SECONDS)
            await wait_until(lambda: _has_started(harness, 3), TIMEOUT_SECONDS)
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), TIMEOUT_SECONDS) == 0
        first, second, third = job_rows(harness)
        assert [first.state, second.state] == [JobState.DELIVERED] * 2
        assert (third.state, third.attempt) == (JobState.QUEUED, 0)
        assert harness.rows("SELECT count(*) FROM ledger WHERE job = 3 AND kind <> 'reserve'") == [(0,)]
        async with bot_process(harness.bot_run("telegram")) as process:
            rows = await wait_for_states(harness, JobState.DELIVERED)
            assert [count_on_telegram(harness.telegram, row) for row in rows] == [1, 1, 1]
            assert [len(_received_clips(ada, number)) for number in (1, 2, 3)] == [1, 1, 1]
            process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(process.wait(), TIMEOUT_SECONDS)
    assert check_consistency(harness).problems() == {}


def _received_clips(ada: TelegramUser, number: int) -> list[Message]:
    return [m for m in ada.bot_messages() if m.kind == "video" and f"wish {number} of" in m.text]


def _has_started(harness: BotHarness, job: int) -> bool | None:
    return any(row.id == job and row.state is not JobState.QUEUED for row in job_rows(harness)) or None


@pytest.mark.timeout(300)
async def test_after_a_crash_finished_clips_are_sent_before_new_ones_are_rendered(tmp_path: Path) -> None:
    async with bot_harness(tmp_path) as harness:
        ada = TelegramUser(harness.telegram, "Ada")
        environment = {
            "MATINEE_FAILPOINTS": "render_recorded=die",
            "MATINEE_FAILPOINTS_TRIGGERED": str(tmp_path / "triggered"),
        }
        pid = await harness.start(harness.bot_run("telegram", environment=environment))
        await ada.writes("/video wish 1 of somebody --silent")
        await harness.wait_for_exit(pid)
        await ada.writes("/video wish 2 of somebody --silent")
        await harness.start(harness.bot_run("telegram", pauses=(60.0,)))
        rows = await wait_until(lambda: _rows_if_delivered(harness, 1), TIMEOUT_SECONDS)
        assert [row.state for row in rows][:1] == [JobState.DELIVERED]
        assert all(row.state is not JobState.DELIVERED for row in rows[1:])


def _rows_if_delivered(harness: BotHarness, job: int) -> list[JobRow] | None:
    rows = job_rows(harness)
    return rows if any(row.id == job and row.state is JobState.DELIVERED for row in rows) else None
