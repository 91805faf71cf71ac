"""What a terminal does beside a running Matinee is seen to there, and its people are told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot.admin.admin import Admin
from bot.domain.jobs import State
from bot.store import cancel_outbox
from bot.store.store import Access, Store
from tests.bot.admin.test_admin import BOSSES, PLAN
from tests.bot.app_harness import CREDITS, Together, eventually, running, together, until, who


@asynccontextmanager
async def terminal(folder: Path) -> AsyncIterator[Admin]:
    """As `matinee admin` opens it while Matinee runs."""
    store = await Store.open(folder, Access.GUEST)
    try:
        yield Admin(store=store, plan=PLAN, models=("testcard",))
    finally:
        await store.close()


def told(house: Together, job: int) -> list[str]:
    return [text for number, state, text in house.chat.said if number == job and state.final]


@pytest.mark.parametrize("painting", [False, True])
async def test_a_clip_cancelled_from_a_terminal_stops_and_its_person_is_told(
    tmp_path: Path, *, painting: bool
) -> None:
    async with together(tmp_path) as house, running(house.studio.heed()):
        await house.store.pause(paused=not painting)
        job = (await house.ask()).job.id
        if painting:
            await house.label(job)
        async with terminal(tmp_path) as admin:
            await admin.perform(f"queue cancel {job}", BOSSES["cli"])
        said = await until(lambda: told(house, job))
        assert "cancelled" in said[0]
        assert house.engine.waiting() == []
        assert (await house.studio.balance(who("ana"))).left == CREDITS


async def test_a_line_cleared_from_a_terminal_or_a_chat_is_told_to_everybody(tmp_path: Path) -> None:
    async with together(tmp_path) as house, running(house.studio.heed()):
        await house.store.pause(paused=True)
        first = [(await house.ask(user)).job.id for user in ("ana", "bob")]
        async with terminal(tmp_path) as admin:
            await admin.perform("queue clear", BOSSES["cli"])
        await until(lambda: all(told(house, job) for job in first) or None)
        second = (await house.ask("cem")).job.id
        await house.studio.admin.perform("queue clear", BOSSES["discord"])
        await until(lambda: told(house, second))


async def test_word_that_nobody_was_there_to_hear_is_told_at_the_next_start(tmp_path: Path) -> None:
    async with together(tmp_path) as house:
        await house.store.pause(paused=True)
        job = (await house.ask()).job.id
    async with terminal(tmp_path) as admin:
        await admin.perform(f"queue cancel {job}", BOSSES["cli"])
    async with together(tmp_path) as house, running(house.studio.heed()):
        await until(lambda: told(house, job))
        assert (await house.studio.job(job)).state is State.CANCELLED

        async def seen_to() -> bool:
            return not await house.store.look(lambda c, _: cancel_outbox.any_left(c))

        assert await eventually(seen_to)
        assert len(told(house, job)) == 1
