"""A clip reaches its chat once, whatever dies on the way."""

from __future__ import annotations

import pytest

from bot.domain.jobs import State
from bot.store.store import Superseded
from generation.errors import PaintFailed
from tests.bot.store.conftest import CLIP, Desk, a_draft

GONE = PaintFailed("testcard", "the chat is gone")


async def test_the_intent_is_written_before_the_send_and_the_message_after(desk: Desk) -> None:
    await desk.ask()
    job = await desk.render()
    assert (job.state, job.clip) == (State.RENDERED, CLIP)
    assert await desk.store.undelivered() == [job]
    assert (await desk.store.begin_delivery(job.id)).state is State.DELIVERING
    done = await desk.store.delivered(job.id, "m1")
    assert (done.state, done.message) == (State.DELIVERED, "m1")
    assert await desk.store.undelivered() == []


async def test_two_senders_never_hold_the_same_parcel(desk: Desk) -> None:
    await desk.ask()
    job = await desk.render()
    await desk.store.begin_delivery(job.id)
    with pytest.raises(Superseded):
        await desk.store.begin_delivery(job.id)


async def test_what_was_certainly_not_sent_is_tried_again(desk: Desk) -> None:
    await desk.ask()
    job = await desk.render()
    await desk.store.begin_delivery(job.id)
    await desk.store.not_sent(job.id)
    assert (await desk.store.begin_delivery(job.id)).state is State.DELIVERING


async def test_what_was_perhaps_sent_waits_until_a_person_asks(desk: Desk) -> None:
    await desk.ask()
    job = await desk.render()
    await desk.store.begin_delivery(job.id)
    await desk.store.doubtful(job.id)
    assert await desk.store.undelivered() == []
    await desk.store.send_again(job.id)
    assert [found.id for found in await desk.store.undelivered()] == [job.id]
    with pytest.raises(Superseded):
        await desk.store.send_again(job.id)


async def test_a_clip_that_can_never_be_sent_is_kept(desk: Desk) -> None:
    await desk.ask()
    job = await desk.render()
    failed = await desk.store.delivery_failed(job.id, GONE)
    assert (failed.state, failed.clip, failed.error) == (State.FAILED, CLIP, GONE.to_json())


async def test_a_start_sorts_out_what_the_last_run_left(desk: Desk) -> None:
    resent = await desk.ask(a_draft())
    doubtful = await desk.ask(a_draft(platform="telegram"))
    for _ in range(2):
        await desk.store.begin_delivery((await desk.render()).id)
    running = await desk.ask()
    await desk.claim()
    found = await desk.store.recover({"discord"})
    assert (found.requeued, found.resent, found.uncertain) == ((running.id,), (resent.id,), (doubtful.id,))
    again = await desk.claim()
    assert (again.id, again.attempt) == (running.id, 0)
    assert (await desk.store.job(doubtful.id)).state is State.UNCERTAIN


async def test_a_second_start_finds_nothing_left_to_sort_out(desk: Desk) -> None:
    await desk.ask()
    await desk.claim()
    await desk.store.recover(set())
    found = await desk.store.recover(set())
    assert (found.requeued, found.resent, found.uncertain) == ((), (), ())
