"""The queue: duplicates, limits, fair order, leases, refunds and cancellation."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec import structs

from bot.domain.errors import NoSuchJob, QueueFull, QuotaSpent, RateLimited, StoreFailed, TooLate
from bot.domain.jobs import Job, JobState
from bot.domain.quota import Allowance, Caps
from bot.store import admin_queue
from bot.store.store import Access, Store, Superseded
from generation import failpoint
from generation.errors import PictureFailed
from tests.bot.store.conftest import (
    CLIP,
    StoreHarness,
    hold_running_job,
    write_rows,
)
from tests.factories import make_draft, make_request

PICTURE_ERROR = PictureFailed("testcard", "black frames")


async def test_a_job_is_read_as_it_was_submitted(harness: StoreHarness) -> None:
    asked = await harness.ask(make_draft(cost=3, community="7"))
    assert await harness.store.job(asked.id) == asked
    assert asked.request == make_request()
    assert asked.state is JobState.QUEUED


async def test_an_update_that_arrives_twice_creates_one_job_and_costs_once(harness: StoreHarness) -> None:
    first = await harness.store.enqueue(
        make_draft(idempotency_key="u1"), allowance=harness.allowance, caps=harness.caps
    )
    again = await harness.store.enqueue(
        make_draft(idempotency_key="u1"), allowance=harness.allowance, caps=harness.caps
    )
    assert (first.replay, again.replay) == (False, True)
    assert again.job == first.job
    assert await harness.credits_left() == 999


async def test_the_same_update_number_on_two_platforms_is_two_updates(harness: StoreHarness) -> None:
    one = await harness.ask(make_draft(idempotency_key="u1"))
    other = await harness.ask(make_draft(idempotency_key="u1", platform="telegram"))
    assert one.id != other.id


async def test_fifty_concurrent_requests_spend_the_last_credit_once(harness: StoreHarness) -> None:
    harness.allowance = Allowance(credits=1)
    answers = await asyncio.gather(*(harness.ask() for _ in range(50)), return_exceptions=True)
    assert sum(isinstance(answer, Job) for answer in answers) == 1
    assert sum(isinstance(answer, QuotaSpent) for answer in answers) == 49
    assert await harness.credits_left() == 0


@pytest.mark.parametrize(
    ("caps", "whose"),
    [(Caps(person=2), "person"), (Caps(community=2), "community"), (Caps(all=2), "all")],
)
async def test_a_full_queue_refuses_and_charges_nothing(
    harness: StoreHarness, caps: Caps, whose: str
) -> None:
    harness.caps = caps
    for _ in range(2):
        await harness.ask(make_draft(community="7"))
    with pytest.raises(QueueFull) as refusal:
        await harness.ask(make_draft(community="7"))
    assert (refusal.value.whose, refusal.value.waiting, refusal.value.limit) == (whose, 2, 2)
    assert await harness.credits_left() == 998


async def test_a_released_job_counts_in_the_queue_at_once(harness: StoreHarness) -> None:
    harness.caps = Caps(all=4)
    for _ in range(2):
        await harness.ask()
        odd = await harness.claim()
        await hold_running_job(harness.store, odd.id, PICTURE_ERROR)
    for _ in range(3):
        await harness.ask()
    await write_rows(harness.store, lambda c: admin_queue.release(c, odd.id))
    with pytest.raises(QueueFull):
        await harness.ask()


async def test_jobs_queued_by_another_process_count_at_once(harness: StoreHarness, tmp_path: Path) -> None:
    harness.caps = Caps(all=3)
    await harness.ask()
    guest = await Store.open(tmp_path, Access.GUEST, clock=harness.clock, monotonic=harness.monotonic)
    for _ in range(2):
        await guest.enqueue(make_draft("7"), allowance=harness.allowance, caps=harness.caps)
    await guest.close()
    with pytest.raises(QueueFull):
        await harness.ask()


async def test_a_failed_commit_frees_no_place_in_the_queue(
    harness: StoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.caps = Caps(all=3)
    first, *_ = [await harness.ask() for _ in range(3)]
    with monkeypatch.context() as patch:
        patch.setitem(
            failpoint.ARMED_POINTS, failpoint.FailPoint.COMMIT, failpoint.Armed(failpoint.Effect.FAIL)
        )
        lost = await asyncio.gather(harness.store.cancel(first.id), harness.ask(), return_exceptions=True)
    assert [type(each) for each in lost] == [StoreFailed, StoreFailed]
    with pytest.raises(QueueFull):
        await harness.ask()


async def test_a_running_job_still_counts_against_the_cap(harness: StoreHarness) -> None:
    harness.caps = Caps(person=1)
    await harness.ask()
    await harness.claim()
    with pytest.raises(QueueFull):
        await harness.ask()


async def test_a_burst_is_slowed_until_its_time_has_passed(harness: StoreHarness) -> None:
    harness.caps = Caps(burst=2, burst_seconds=60)
    await harness.ask()
    harness.clock.now += 10
    await harness.ask()
    with pytest.raises(RateLimited) as refusal:
        await harness.ask()
    assert refusal.value.back_at == harness.clock.now + 50
    harness.clock.now += 50
    await harness.ask()


async def test_a_claim_starts_a_lease_and_an_empty_queue_gives_none(harness: StoreHarness) -> None:
    asked = await harness.ask()
    claimed = await harness.claim()
    assert (claimed.id, claimed.state, claimed.epoch) == (asked.id, JobState.RUNNING, 1)
    assert await harness.store.claim(lease=60) is None


async def test_one_job_is_never_claimed_twice(harness: StoreHarness) -> None:
    for _ in range(5):
        await harness.ask()
    claims = await asyncio.gather(*(harness.store.claim(lease=60) for _ in range(20)))
    numbers = [job.id for job in claims if job]
    assert sorted(numbers) == [1, 2, 3, 4, 5]


async def test_a_newcomer_waits_for_at_most_one_job_of_each_active_user(harness: StoreHarness) -> None:
    for user in ("a", "b", "c"):
        for _ in range(10):
            await harness.ask(make_draft(user))
    for _ in range(7):
        await harness.claim()
    newcomer = await harness.ask(make_draft("new"))
    before: list[str] = []
    while (job := await harness.claim()).id != newcomer.id:
        before.append(job.requester.user)
    assert len(before) == len(set(before)) <= 3


async def test_twice_the_weight_gets_twice_the_turns(harness: StoreHarness) -> None:
    for _ in range(30):
        await harness.ask(make_draft("patron", weight=2.0))
        await harness.ask(make_draft("guest"))
    turns = [(await harness.claim()).requester.user for _ in range(30)]
    assert 19 <= turns.count("patron") <= 21


async def test_queue_position_is_how_many_are_claimed_before(harness: StoreHarness) -> None:
    jobs = [await harness.ask(make_draft(user)) for user in ("a", "a", "b", "a", "c", "b")]
    places = {job.id: await harness.store.queue_position(job.id) for job in jobs}
    order = [(await harness.claim()).id for _ in jobs]
    assert [places[number] for number in order] == [0, 1, 2, 3, 4, 5]
    assert await harness.store.queue_position(order[0]) is None


async def test_a_loaded_model_is_preferred_only_among_equals_and_never_starves_anyone(
    harness: StoreHarness,
) -> None:
    head = await harness.ask(make_draft("first", model="wan"))
    others = [await harness.ask(make_draft(f"p{n}", model="ltx")) for n in range(4)]
    order = []
    for _ in range(5):
        job = await harness.store.claim(lease=60, prefer_model="ltx")
        assert job is not None
        order.append(job.id)
    assert order == [others[0].id, others[1].id, head.id, others[2].id, others[3].id]


async def test_one_users_jobs_are_also_grouped_by_loaded_model(harness: StoreHarness) -> None:
    jobs = [
        await harness.ask(make_draft("one", model=model)) for model in ("ltx", "wan", "ltx", "wan", "ltx")
    ]
    order, loaded = [], None
    for _ in jobs:
        job = await harness.store.claim(lease=60, prefer_model=loaded)
        assert job is not None
        order.append(jobs.index(structs.replace(job, state=JobState.QUEUED, epoch=0, started_at=None)))
        loaded = job.request.model
    assert order == [0, 2, 4, 1, 3]


async def test_a_preferred_job_overtakes_no_more_older_ones_than_allowed(harness: StoreHarness) -> None:
    jobs = [await harness.ask(make_draft(f"p{n}", model="ltx" if n == 4 else "wan")) for n in range(5)]
    for passing, first in ((0, 0), (2, 1), (2, 4)):
        job = await harness.store.claim(lease=60, prefer_model="ltx", max_passes=passing)
        assert job is not None
        assert job.id == jobs[first].id


async def test_a_paused_queue_prefers_no_job(harness: StoreHarness) -> None:
    await harness.ask(make_draft(model="ltx"))
    await harness.store.pause(paused=True)
    assert await harness.store.claim(lease=60, prefer_model="ltx") is None


async def test_a_stale_worker_changes_nothing(harness: StoreHarness) -> None:
    await harness.ask()
    stale = await harness.claim()
    await harness.store.requeue(stale.id, stale.epoch, guilty=False)
    fresh = await harness.claim()
    for change in (
        harness.store.mark_rendered(stale.id, stale.epoch, CLIP),
        harness.store.mark_failed(stale.id, stale.epoch, PICTURE_ERROR),
        harness.store.requeue(stale.id, stale.epoch, guilty=True),
        harness.store.mark_picture_done(stale.id, stale.epoch),
    ):
        with pytest.raises(Superseded):
            await change
    assert not await harness.store.renew(stale.id, stale.epoch, lease=60)
    assert await harness.store.job(fresh.id) == fresh
    assert await harness.store.renew(fresh.id, fresh.epoch, lease=60)


async def test_a_requeued_job_keeps_its_place_and_counts_an_attempt_only_when_guilty(
    harness: StoreHarness,
) -> None:
    first = await harness.ask(make_draft("a"))
    await harness.ask(make_draft("b"))
    for guilty, attempt in ((False, 0), (True, 1)):
        job = await harness.claim()
        assert job.id == first.id
        assert (await harness.store.requeue(job.id, job.epoch, guilty=guilty)).attempt == attempt


async def test_a_job_with_an_expired_lease_can_be_claimed_again(harness: StoreHarness) -> None:
    await harness.ask()
    lost = await harness.claim()
    harness.monotonic.now += 59
    assert await harness.store.requeue_expired() == []
    harness.clock.now += 10**9  # a jump of the wall clock ends no lease
    assert await harness.store.requeue_expired() == []
    harness.monotonic.now += 2
    assert await harness.store.requeue_expired() == [lost.id]
    assert (await harness.claim()).epoch == lost.epoch + 1


async def test_a_failure_is_refunded_and_stored(harness: StoreHarness) -> None:
    await harness.ask(make_draft(cost=5))
    job = await harness.claim()
    failed = await harness.store.mark_failed(job.id, job.epoch, PICTURE_ERROR)
    assert (failed.state, failed.error) == (JobState.FAILED, PICTURE_ERROR.to_json())
    assert await harness.credits_left() == 1000


async def test_cancelling_before_the_picture_is_done_costs_nothing(harness: StoreHarness) -> None:
    await harness.ask(make_draft(cost=5))
    waiting = await harness.ask(make_draft(cost=5))
    running = await harness.claim()
    for job in (waiting, running):
        assert (await harness.store.cancel(job.id)).state is JobState.CANCELLED
    assert await harness.credits_left() == 1000
    with pytest.raises(Superseded):
        await harness.store.mark_rendered(running.id, running.epoch, CLIP)


async def test_cancelling_after_the_picture_is_done_is_charged(harness: StoreHarness) -> None:
    await harness.ask(make_draft(cost=5))
    job = await harness.claim()
    await harness.store.mark_picture_done(job.id, job.epoch)
    await harness.store.cancel(job.id)
    assert await harness.credits_left() == 995


async def test_cancelling_twice_or_too_late_or_unknown_raises(harness: StoreHarness) -> None:
    job = await harness.ask()
    await harness.store.cancel(job.id)
    await harness.ask()
    done = await harness.render()
    for number in (job.id, done.id):
        with pytest.raises(TooLate):
            await harness.store.cancel(number)
    with pytest.raises(NoSuchJob):
        await harness.store.cancel(999)
    assert await harness.credits_left() == 999


async def test_jobs_behind_a_cancelled_one_move_up(harness: StoreHarness) -> None:
    mine = [await harness.ask(make_draft("a", cost=4)) for _ in range(5)]
    other = [await harness.ask(make_draft("b", cost=4)) for _ in range(2)]
    for job in mine[:4]:
        await harness.store.cancel(job.id)
    later = await harness.ask(make_draft("a", cost=4))
    order = [(await harness.claim()).id for _ in range(4)]
    assert order == [other[0].id, mine[4].id, other[1].id, later.id]


@pytest.mark.parametrize("gone", [(1, 2), (2, 1)])
async def test_turns_of_cancelled_jobs_cost_nothing(harness: StoreHarness, gone: tuple[int, int]) -> None:
    mine = [await harness.ask(make_draft("a", cost=4)) for _ in range(3)]
    other = [await harness.ask(make_draft("b", cost=4)) for _ in range(3)]
    for number in gone:
        await harness.store.cancel(mine[number].id)
    later = await harness.ask(make_draft("a", cost=4))
    order = [(await harness.claim()).id for _ in range(5)]
    assert order == [mine[0].id, other[0].id, other[1].id, later.id, other[2].id]


async def test_the_turn_of_a_released_then_cancelled_job_costs_nothing(harness: StoreHarness) -> None:
    mine = await harness.ask(make_draft("a", cost=4))
    other = [await harness.ask(make_draft("b", cost=4)) for _ in range(2)]
    odd = await harness.claim()
    await hold_running_job(harness.store, odd.id, PICTURE_ERROR)
    await write_rows(harness.store, lambda c: admin_queue.release(c, odd.id))
    await harness.store.cancel(mine.id)
    later = await harness.ask(make_draft("a", cost=4))
    line = [(await harness.claim()).id for _ in range(3)]
    assert line == [other[0].id, later.id, other[1].id]


async def test_moving_one_job_to_the_front_does_not_favour_the_next(harness: StoreHarness) -> None:
    mine = [await harness.ask(make_draft("a")) for _ in range(3)]
    other = [await harness.ask(make_draft("b")) for _ in range(3)]
    await write_rows(harness.store, lambda c: admin_queue.move_in_queue(c, mine[2].id, 0))
    later = await harness.ask(make_draft("a"))
    line = [(await harness.claim()).id for _ in range(7)]
    assert line[0] == mine[2].id
    assert line[-1] == later.id
    assert sorted(line[1:-1]) == sorted(job.id for job in (*mine[:2], *other))


async def test_cancelling_a_running_job_still_uses_its_turn(harness: StoreHarness) -> None:
    mine = await harness.ask(make_draft("a", cost=4))
    other = [await harness.ask(make_draft("b", cost=4)) for _ in range(2)]
    await harness.claim()
    await harness.store.cancel(mine.id)
    later = await harness.ask(make_draft("a", cost=4))
    order = [(await harness.claim()).id for _ in range(3)]
    assert order == [other[0].id, other[1].id, later.id]


async def test_while_paused_nothing_is_claimed(harness: StoreHarness) -> None:
    await harness.ask()
    await harness.store.pause(paused=True)
    assert await harness.store.claim(lease=60) is None
    await harness.store.pause(paused=False)
    await harness.claim()


async def test_the_queue_lists_running_then_queued_jobs(harness: StoreHarness) -> None:
    jobs = [await harness.ask(make_draft(user)) for user in ("a", "a", "b")]
    running = await harness.claim()
    assert [job.id for job in await harness.store.waiting()] == [running.id, jobs[2].id, jobs[1].id]
    assert len(await harness.store.waiting(limit=2)) == 2


async def test_history_lists_own_jobs_newest_first(harness: StoreHarness) -> None:
    mine = [await harness.ask(make_draft("a")) for _ in range(3)]
    await harness.ask(make_draft("b"))
    assert await harness.store.history("discord:a", 2) == [mine[2], mine[1]]
    assert await harness.store.history("discord:nobody") == []


async def test_the_status_message_id_is_remembered(harness: StoreHarness) -> None:
    job = await harness.ask()
    await harness.store.save_status_message(job.id, "msg-1")
    assert (await harness.store.job(job.id)).reply_to == structs.replace(job.reply_to, status="msg-1")
