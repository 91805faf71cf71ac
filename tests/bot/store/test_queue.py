"""The line in front of the engine keeps its promises."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec import structs

from bot.domain.errors import NoSuchJob, QueueFull, QuotaSpent, StoreFailed, TooFast, TooLate
from bot.domain.jobs import Job, State
from bot.domain.quota import Allowance, Caps
from bot.store import admin_queue
from bot.store.store import Access, Store, Superseded
from generation import failpoint
from generation.errors import PaintFailed
from tests.bot.store.conftest import CLIP, Desk, a_draft, a_request

BROKEN = PaintFailed("testcard", "black frames")


async def test_a_job_comes_back_as_it_was_asked_for(desk: Desk) -> None:
    asked = await desk.ask(a_draft(cost=3, community="7"))
    assert await desk.store.job(asked.id) == asked
    assert asked.request == a_request()
    assert asked.state is State.QUEUED


async def test_an_update_that_arrives_twice_makes_one_job_and_costs_once(desk: Desk) -> None:
    first = await desk.store.enqueue(a_draft(update="u1"), allowance=desk.allowance, caps=desk.caps)
    again = await desk.store.enqueue(a_draft(update="u1"), allowance=desk.allowance, caps=desk.caps)
    assert (first.replay, again.replay) == (False, True)
    assert again.job == first.job
    assert await desk.left() == 999


async def test_the_same_update_number_on_two_platforms_is_two_updates(desk: Desk) -> None:
    one = await desk.ask(a_draft(update="u1"))
    other = await desk.ask(a_draft(update="u1", platform="telegram"))
    assert one.id != other.id


async def test_of_fifty_who_want_the_last_credit_exactly_one_gets_it(desk: Desk) -> None:
    desk.allowance = Allowance(credits=1)
    answers = await asyncio.gather(*(desk.ask() for _ in range(50)), return_exceptions=True)
    assert sum(isinstance(answer, Job) for answer in answers) == 1
    assert sum(isinstance(answer, QuotaSpent) for answer in answers) == 49
    assert await desk.left() == 0


@pytest.mark.parametrize(
    ("caps", "whose"),
    [(Caps(person=2), "person"), (Caps(community=2), "community"), (Caps(all=2), "all")],
)
async def test_a_full_line_refuses_and_charges_nothing(desk: Desk, caps: Caps, whose: str) -> None:
    desk.caps = caps
    for _ in range(2):
        await desk.ask(a_draft(community="7"))
    with pytest.raises(QueueFull) as refusal:
        await desk.ask(a_draft(community="7"))
    assert (refusal.value.whose, refusal.value.waiting, refusal.value.limit) == (whose, 2, 2)
    assert await desk.left() == 998


async def test_what_is_let_back_into_the_line_counts_at_once(desk: Desk) -> None:
    desk.caps = Caps(all=4)
    for _ in range(2):
        await desk.ask()
        odd = await desk.claim()
        await desk.store.hold(odd.id, odd.epoch, BROKEN)
    for _ in range(3):
        await desk.ask()
    await desk.store.database.write(lambda c: admin_queue.release(c, odd.id))
    with pytest.raises(QueueFull):
        await desk.ask()


async def test_what_another_process_puts_into_the_line_counts_at_once(desk: Desk, tmp_path: Path) -> None:
    desk.caps = Caps(all=3)
    await desk.ask()
    guest = await Store.open(tmp_path, Access.GUEST, clock=desk.clock, steady=desk.steady)
    for _ in range(2):
        await guest.enqueue(a_draft("7"), allowance=desk.allowance, caps=desk.caps)
    await guest.close()
    with pytest.raises(QueueFull):
        await desk.ask()


async def test_what_never_reached_the_disk_makes_no_room_in_the_line(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.caps = Caps(all=3)
    first, *_ = [await desk.ask() for _ in range(3)]
    with monkeypatch.context() as ill:
        ill.setitem(failpoint.ARMED, failpoint.Place.COMMIT, failpoint.Trap(failpoint.Deed.FAIL))
        lost = await asyncio.gather(desk.store.cancel(first.id), desk.ask(), return_exceptions=True)
    assert [type(each) for each in lost] == [StoreFailed, StoreFailed]
    with pytest.raises(QueueFull):
        await desk.ask()


async def test_a_running_job_still_counts_against_the_cap(desk: Desk) -> None:
    desk.caps = Caps(person=1)
    await desk.ask()
    await desk.claim()
    with pytest.raises(QueueFull):
        await desk.ask()


async def test_a_burst_is_slowed_until_its_time_has_passed(desk: Desk) -> None:
    desk.caps = Caps(burst=2, burst_seconds=60)
    await desk.ask()
    desk.clock.now += 10
    await desk.ask()
    with pytest.raises(TooFast) as refusal:
        await desk.ask()
    assert refusal.value.back_at == desk.clock.now + 50
    desk.clock.now += 50
    await desk.ask()


async def test_a_claim_starts_a_lease_and_an_empty_line_gives_nothing(desk: Desk) -> None:
    asked = await desk.ask()
    claimed = await desk.claim()
    assert (claimed.id, claimed.state, claimed.epoch) == (asked.id, State.RUNNING, 1)
    assert await desk.store.claim(lease=60) is None


async def test_one_job_is_never_claimed_twice(desk: Desk) -> None:
    for _ in range(5):
        await desk.ask()
    claims = await asyncio.gather(*(desk.store.claim(lease=60) for _ in range(20)))
    numbers = [job.id for job in claims if job]
    assert sorted(numbers) == [1, 2, 3, 4, 5]


async def test_a_newcomer_waits_for_at_most_one_job_of_each_active_person(desk: Desk) -> None:
    for person in ("a", "b", "c"):
        for _ in range(10):
            await desk.ask(a_draft(person))
    for _ in range(7):
        await desk.claim()
    newcomer = await desk.ask(a_draft("new"))
    before: list[str] = []
    while (job := await desk.claim()).id != newcomer.id:
        before.append(job.requester.user)
    assert len(before) == len(set(before)) <= 3


async def test_twice_the_weight_gets_twice_the_turns(desk: Desk) -> None:
    for _ in range(30):
        await desk.ask(a_draft("patron", weight=2.0))
        await desk.ask(a_draft("guest"))
    turns = [(await desk.claim()).requester.user for _ in range(30)]
    assert 19 <= turns.count("patron") <= 21


async def test_the_place_in_line_is_how_many_are_claimed_before(desk: Desk) -> None:
    jobs = [await desk.ask(a_draft(user)) for user in ("a", "a", "b", "a", "c", "b")]
    places = {job.id: await desk.store.place(job.id) for job in jobs}
    order = [(await desk.claim()).id for _ in jobs]
    assert [places[number] for number in order] == [0, 1, 2, 3, 4, 5]
    assert await desk.store.place(order[0]) is None


async def test_a_loaded_model_is_preferred_only_among_equals_and_never_starves_anyone(desk: Desk) -> None:
    head = await desk.ask(a_draft("first", model="wan"))
    others = [await desk.ask(a_draft(f"p{n}", model="ltx")) for n in range(4)]
    order = []
    for _ in range(5):
        job = await desk.store.claim(lease=60, prefer_model="ltx")
        assert job is not None
        order.append(job.id)
    assert order == [others[0].id, others[1].id, head.id, others[2].id, others[3].id]


async def test_the_loaded_models_jobs_of_one_person_are_gathered_too(desk: Desk) -> None:
    jobs = [await desk.ask(a_draft("one", model=model)) for model in ("ltx", "wan", "ltx", "wan", "ltx")]
    order, loaded = [], None
    for _ in jobs:
        job = await desk.store.claim(lease=60, prefer_model=loaded)
        assert job is not None
        order.append(jobs.index(structs.replace(job, state=State.QUEUED, epoch=0, started_at=None)))
        loaded = job.request.model
    assert order == [0, 2, 4, 1, 3]


async def test_a_preferred_job_passes_no_more_older_ones_than_allowed(desk: Desk) -> None:
    jobs = [await desk.ask(a_draft(f"p{n}", model="ltx" if n == 4 else "wan")) for n in range(5)]
    for passing, first in ((0, 0), (2, 1), (2, 4)):
        job = await desk.store.claim(lease=60, prefer_model="ltx", passing=passing)
        assert job is not None
        assert job.id == jobs[first].id


async def test_a_paused_line_prefers_nobody(desk: Desk) -> None:
    await desk.ask(a_draft(model="ltx"))
    await desk.store.pause(paused=True)
    assert await desk.store.claim(lease=60, prefer_model="ltx") is None


async def test_a_stale_worker_changes_nothing(desk: Desk) -> None:
    await desk.ask()
    stale = await desk.claim()
    await desk.store.requeue(stale.id, stale.epoch, guilty=False)
    fresh = await desk.claim()
    for change in (
        desk.store.rendered(stale.id, stale.epoch, CLIP),
        desk.store.failed(stale.id, stale.epoch, BROKEN),
        desk.store.requeue(stale.id, stale.epoch, guilty=True),
        desk.store.hold(stale.id, stale.epoch, BROKEN),
        desk.store.painted(stale.id, stale.epoch),
    ):
        with pytest.raises(Superseded):
            await change
    assert not await desk.store.renew(stale.id, stale.epoch, lease=60)
    assert await desk.store.job(fresh.id) == fresh
    assert await desk.store.renew(fresh.id, fresh.epoch, lease=60)


async def test_a_requeued_job_keeps_its_place_and_blame_is_counted_only_when_guilty(desk: Desk) -> None:
    first = await desk.ask(a_draft("a"))
    await desk.ask(a_draft("b"))
    for guilty, attempt in ((False, 0), (True, 1)):
        job = await desk.claim()
        assert job.id == first.id
        assert (await desk.store.requeue(job.id, job.epoch, guilty=guilty)).attempt == attempt


async def test_a_lease_that_runs_out_gives_the_job_to_another(desk: Desk) -> None:
    await desk.ask()
    lost = await desk.claim()
    desk.steady.now += 59
    assert await desk.store.free_expired() == []
    desk.clock.now += 10**9  # a wall clock that jumps ends no lease
    assert await desk.store.free_expired() == []
    desk.steady.now += 2
    assert await desk.store.free_expired() == [lost.id]
    assert (await desk.claim()).epoch == lost.epoch + 1


async def test_a_failure_is_refunded_and_remembered(desk: Desk) -> None:
    await desk.ask(a_draft(cost=5))
    job = await desk.claim()
    failed = await desk.store.failed(job.id, job.epoch, BROKEN)
    assert (failed.state, failed.error) == (State.FAILED, BROKEN.to_json())
    assert await desk.left() == 1000


async def test_cancelling_before_the_picture_is_painted_costs_nothing(desk: Desk) -> None:
    await desk.ask(a_draft(cost=5))
    waiting = await desk.ask(a_draft(cost=5))
    running = await desk.claim()
    for job in (waiting, running):
        assert (await desk.store.cancel(job.id)).state is State.CANCELLED
    assert await desk.left() == 1000
    with pytest.raises(Superseded):
        await desk.store.rendered(running.id, running.epoch, CLIP)


async def test_cancelling_after_the_picture_is_painted_is_paid_for(desk: Desk) -> None:
    await desk.ask(a_draft(cost=5))
    job = await desk.claim()
    await desk.store.painted(job.id, job.epoch)
    await desk.store.cancel(job.id)
    assert await desk.left() == 995


async def test_cancelling_twice_or_too_late_or_nothing_at_all_is_told(desk: Desk) -> None:
    job = await desk.ask()
    await desk.store.cancel(job.id)
    await desk.ask()
    done = await desk.render()
    for number in (job.id, done.id):
        with pytest.raises(TooLate):
            await desk.store.cancel(number)
    with pytest.raises(NoSuchJob):
        await desk.store.cancel(999)
    assert await desk.left() == 999


async def test_jobs_behind_a_cancelled_one_move_up(desk: Desk) -> None:
    mine = [await desk.ask(a_draft("a", cost=4)) for _ in range(5)]
    other = [await desk.ask(a_draft("b", cost=4)) for _ in range(2)]
    for job in mine[:4]:
        await desk.store.cancel(job.id)
    later = await desk.ask(a_draft("a", cost=4))
    order = [(await desk.claim()).id for _ in range(4)]
    assert order == [other[0].id, mine[4].id, other[1].id, later.id]


@pytest.mark.parametrize("gone", [(1, 2), (2, 1)])
async def test_turns_that_were_never_taken_cost_nothing(desk: Desk, gone: tuple[int, int]) -> None:
    mine = [await desk.ask(a_draft("a", cost=4)) for _ in range(3)]
    other = [await desk.ask(a_draft("b", cost=4)) for _ in range(3)]
    for number in gone:
        await desk.store.cancel(mine[number].id)
    later = await desk.ask(a_draft("a", cost=4))
    order = [(await desk.claim()).id for _ in range(5)]
    assert order == [mine[0].id, other[0].id, other[1].id, later.id, other[2].id]


async def test_a_turn_that_was_given_back_costs_nothing_either(desk: Desk) -> None:
    mine = await desk.ask(a_draft("a", cost=4))
    other = [await desk.ask(a_draft("b", cost=4)) for _ in range(2)]
    odd = await desk.claim()
    await desk.store.hold(odd.id, odd.epoch, BROKEN)
    await desk.store.database.write(lambda c: admin_queue.release(c, odd.id))
    await desk.store.cancel(mine.id)
    later = await desk.ask(a_draft("a", cost=4))
    line = [(await desk.claim()).id for _ in range(3)]
    assert line == [other[0].id, later.id, other[1].id]


async def test_who_is_moved_to_the_front_once_still_waits_with_the_next(desk: Desk) -> None:
    mine = [await desk.ask(a_draft("a")) for _ in range(3)]
    other = [await desk.ask(a_draft("b")) for _ in range(3)]
    await desk.store.database.write(lambda c: admin_queue.move(c, mine[2].id, 0))
    later = await desk.ask(a_draft("a"))
    line = [(await desk.claim()).id for _ in range(7)]
    assert line[0] == mine[2].id
    assert line[-1] == later.id
    assert sorted(line[1:-1]) == sorted(job.id for job in (*mine[:2], *other))


async def test_a_turn_that_was_taken_counts_although_it_was_cancelled(desk: Desk) -> None:
    mine = await desk.ask(a_draft("a", cost=4))
    other = [await desk.ask(a_draft("b", cost=4)) for _ in range(2)]
    await desk.claim()
    await desk.store.cancel(mine.id)
    later = await desk.ask(a_draft("a", cost=4))
    order = [(await desk.claim()).id for _ in range(3)]
    assert order == [other[0].id, other[1].id, later.id]


async def test_while_paused_nothing_is_claimed(desk: Desk) -> None:
    await desk.ask()
    await desk.store.pause(paused=True)
    assert await desk.store.claim(lease=60) is None
    await desk.store.pause(paused=False)
    await desk.claim()


async def test_the_line_shows_who_is_served_and_who_is_next(desk: Desk) -> None:
    jobs = [await desk.ask(a_draft(user)) for user in ("a", "a", "b")]
    running = await desk.claim()
    assert [job.id for job in await desk.store.waiting()] == [running.id, jobs[2].id, jobs[1].id]
    assert len(await desk.store.waiting(limit=2)) == 2


async def test_history_is_ones_own_newest_first(desk: Desk) -> None:
    mine = [await desk.ask(a_draft("a")) for _ in range(3)]
    await desk.ask(a_draft("b"))
    assert await desk.store.history("discord:a", 2) == [mine[2], mine[1]]
    assert await desk.store.history("discord:nobody") == []


async def test_our_status_message_is_remembered(desk: Desk) -> None:
    job = await desk.ask()
    await desk.store.remember_status(job.id, "msg-1")
    assert (await desk.store.job(job.id)).reply_to == structs.replace(job.reply_to, status="msg-1")
