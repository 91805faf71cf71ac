"""A running Matinee handles cancels from a terminal beside it and notifies the users."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot.admin.admin import AdminCommands
from bot.domain.jobs import JobState
from bot.store.store import Access, Store
from bot.studio.access import Viewer
from tests.bot.admin.test_admin import ADMINS, PLAN, PLATFORMS
from tests.bot.app_harness import (
    CREDITS,
    AppHarness,
    running_app,
    running_tasks,
    wait_until,
    wait_until_async,
)
from tests.factories import make_viewer


@asynccontextmanager
async def guest_admin(folder: Path) -> AsyncIterator[AdminCommands]:
    """The admin commands as `matinee admin` opens them while Matinee runs."""
    store = await Store.open(folder, Access.GUEST)
    try:
        yield AdminCommands(store=store, quota_plan=PLAN, models=("testcard",), platforms=PLATFORMS)
    finally:
        await store.close()


def final_statuses(app: AppHarness, job: int) -> list[str]:
    return [text for number, state, text in app.chat.statuses if number == job and state.is_final]


@pytest.mark.parametrize("generating", [False, True])
async def test_a_job_cancelled_from_a_terminal_stops_and_is_reported(
    tmp_path: Path, *, generating: bool
) -> None:
    async with running_app(tmp_path) as app, running_tasks(app.studio.watch_outside_cancels()):
        await app.store.pause(paused=not generating)
        job = (await app.ask()).job.id
        if generating:
            await app.engine_label(job)
        async with guest_admin(tmp_path) as admin:
            await admin.perform(f"queue cancel {job}", ADMINS["cli"])
        texts = await wait_until(lambda: final_statuses(app, job))
        assert "cancelled" in texts[0]
        assert app.engine.unfinished() == []
        assert (await app.studio.balance(make_viewer("ana"))).left == CREDITS


async def test_clearing_the_queue_notifies_every_user(tmp_path: Path) -> None:
    async with running_app(tmp_path) as app, running_tasks(app.studio.watch_outside_cancels()):
        await app.store.pause(paused=True)
        first = [(await app.ask(user)).job.id for user in ("ana", "bob")]
        async with guest_admin(tmp_path) as admin:
            await admin.perform("queue clear yes", ADMINS["cli"])
        await wait_until(lambda: all(final_statuses(app, job) for job in first) or None)
        second = (await app.ask("cem")).job.id
        await app.studio.administer("queue clear yes", Viewer(requester=ADMINS["discord"]))
        await wait_until(lambda: final_statuses(app, second))


async def test_an_outside_cancel_is_reported_at_the_next_start(tmp_path: Path) -> None:
    async with running_app(tmp_path) as app:
        await app.store.pause(paused=True)
        job = (await app.ask()).job.id
    async with guest_admin(tmp_path) as admin:
        await admin.perform(f"queue cancel {job}", ADMINS["cli"])
    async with running_app(tmp_path) as app, running_tasks(app.studio.watch_outside_cancels()):
        await wait_until(lambda: final_statuses(app, job))
        assert (await app.store.job(job)).state is JobState.CANCELLED

        async def outbox_is_empty() -> bool:
            return not await app.store.has_outside_cancels()

        assert await wait_until_async(outbox_is_empty)
        assert len(final_statuses(app, job)) == 1
