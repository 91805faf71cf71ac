"""A clip reaches its chat once, even if the process or the connection fails meanwhile."""

from __future__ import annotations

import pytest

from bot.domain.jobs import JobState
from bot.store.store import Superseded
from generation.errors import PictureFailed
from tests.bot.store.conftest import CLIP, StoreHarness
from tests.factories import make_draft

DELIVERY_ERROR = PictureFailed("testcard", "the chat is gone")


async def test_the_intent_is_written_before_the_send_and_the_message_after(harness: StoreHarness) -> None:
    await harness.ask()
    job = await harness.render()
    assert (job.state, job.clip) == (JobState.RENDERED, CLIP)
    assert await harness.store.undelivered() == [job]
    assert (await harness.store.begin_delivery(job.id)).state is JobState.DELIVERING
    done = await harness.store.mark_delivered(job.id, "m1")
    assert (done.state, done.message) == (JobState.DELIVERED, "m1")
    assert await harness.store.undelivered() == []


async def test_two_senders_never_send_the_same_clip(harness: StoreHarness) -> None:
    await harness.ask()
    job = await harness.render()
    await harness.store.begin_delivery(job.id)
    with pytest.raises(Superseded):
        await harness.store.begin_delivery(job.id)


async def test_a_clip_known_not_to_be_sent_is_retried(harness: StoreHarness) -> None:
    await harness.ask()
    job = await harness.render()
    await harness.store.begin_delivery(job.id)
    await harness.store.mark_not_sent(job.id)
    assert (await harness.store.begin_delivery(job.id)).state is JobState.DELIVERING


async def test_a_clip_maybe_sent_is_resent_only_on_request(harness: StoreHarness) -> None:
    await harness.ask()
    job = await harness.render()
    await harness.store.begin_delivery(job.id)
    await harness.store.mark_uncertain(job.id)
    assert await harness.store.undelivered() == []
    await harness.store.send_again(job.id)
    assert [found.id for found in await harness.store.undelivered()] == [job.id]
    with pytest.raises(Superseded):
        await harness.store.send_again(job.id)


async def test_an_undeliverable_clip_is_kept(harness: StoreHarness) -> None:
    await harness.ask()
    job = await harness.render()
    failed = await harness.store.mark_undeliverable(job.id, DELIVERY_ERROR)
    assert (failed.state, failed.clip, failed.error) == (JobState.FAILED, CLIP, DELIVERY_ERROR.to_json())


async def test_a_start_recovers_jobs_of_the_last_run(harness: StoreHarness) -> None:
    resent = await harness.ask(make_draft())
    doubtful = await harness.ask(make_draft(platform="telegram"))
    for _ in range(2):
        await harness.store.begin_delivery((await harness.render()).id)
    running = await harness.ask()
    await harness.claim()
    found = await harness.store.recover({"discord"})
    assert (found.requeued, found.resent, found.uncertain) == ((running.id,), (resent.id,), (doubtful.id,))
    again = await harness.claim()
    assert (again.id, again.attempt) == (running.id, 0)
    assert (await harness.store.job(doubtful.id)).state is JobState.UNCERTAIN


async def test_a_second_start_recovers_nothing(harness: StoreHarness) -> None:
    await harness.ask()
    await harness.claim()
    await harness.store.recover(set())
    found = await harness.store.recover(set())
    assert (found.requeued, found.resent, found.uncertain) == ((), (), ())
