"""A job's life through the real studio, store, worker and delivery."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import structs

from bot.domain.errors import NotYours, PromptRefused, QuotaSpent, TooLate
from bot.domain.jobs import Action, Job, ReplyTo, State
from bot.domain.quota import Allowance
from bot.pipeline.delivery import Delivery, Doubtful, Rejected, TooLarge, Unreachable
from bot.studio.studio import Ticket
from generation.errors import EngineDied, PaintFailed, PromptEmpty, UnknownChoice
from generation.progress import Progress, Stage
from generation.request import Wish
from tests.bot.app_harness import CREDITS, Together, halved, house_of, together, until, who
from tests.fakes.frontend import FakeFrontend

ALLOWANCE = Allowance(credits=CREDITS)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Together]:
    async with together(tmp_path) as everything:
        yield everything


async def left(house: Together, user: str = "ana") -> int:
    return (await house.studio.balance(who(user))).left


async def test_a_wish_becomes_a_clip_in_the_chat(house: Together) -> None:
    ticket = await house.ask()
    house.engine.finish(await house.label(ticket.job.id))
    job = await house.reached(ticket.job.id, State.DELIVERED)
    assert job.message == f"message {job.id}"
    assert house.chat.shown == {job.id: 1}
    assert job.request.prompt in house.chat.parcels[0].text
    assert await left(house) == CREDITS - job.cost


async def test_the_engine_is_kept_fed_but_never_beyond_its_slots(house: Together) -> None:
    jobs = [(await house.ask(user)).job.id for user in "abcde"]
    for job in jobs:
        house.engine.finish(await house.label(job))
    for job in jobs:
        await house.reached(job, State.DELIVERED)
    assert house.engine.most == house.engine.slots


async def test_a_failure_is_told_with_its_number_and_refunded(house: Together) -> None:
    ticket = await house.ask()
    house.engine.fail(await house.label(ticket.job.id), PaintFailed("testcard", "black"))
    await house.reached(ticket.job.id, State.FAILED)
    number, _, text = await until(
        lambda: next((said for said in house.chat.said if said[1] is State.FAILED), None)
    )
    assert number == ticket.job.id
    assert f"#{number}" in text
    assert "black" not in text
    assert await left(house) == CREDITS


async def test_a_surprise_in_the_engine_ends_one_job_only(house: Together) -> None:
    first, second = [(await house.ask(user)).job.id for user in "ab"]
    house.engine.fail(await house.label(first), ZeroDivisionError("somebody's bug"))
    await house.reached(first, State.FAILED)
    house.engine.finish(await house.label(second))
    await house.reached(second, State.DELIVERED)


async def test_an_innocent_is_never_blamed_and_a_poison_job_is_set_aside_after_two_deaths(
    house: Together,
) -> None:
    job = (await house.ask()).job.id
    for _ in range(4):
        house.engine.fail(await house.label(job), EngineDied("somebody else's fault", guilty=False))
    house.engine.fail(await house.label(job), EngineDied("its fault"))
    house.engine.fail(await house.label(job), EngineDied("its fault again"))
    await house.reached(job, State.FAILED)
    assert await left(house) == CREDITS


async def test_cancelling_what_is_painted_frees_the_engine_and_the_credits(house: Together) -> None:
    job = (await house.ask()).job.id
    await house.label(job)
    await house.studio.cancel(job, who("ana"))
    await until(lambda: not house.engine.orders)
    assert (await house.studio.job(job)).state is State.CANCELLED
    assert await left(house) == CREDITS
    with pytest.raises(TooLate):
        await house.studio.cancel(job, who("ana"))


async def test_nobody_cancels_what_is_somebody_elses_but_an_admin_does(house: Together) -> None:
    job = (await house.ask()).job.id
    with pytest.raises(NotYours):
        await house.studio.cancel(job, who("bob"))
    assert (await house.studio.cancel(job, who("bob", admin=True))).state is State.CANCELLED


async def test_whoever_an_admin_cancels_is_told(house: Together) -> None:
    job = (await house.ask()).job.id
    await house.label(job)
    await house.studio.admin.perform(f"queue cancel {job}", who("boss", admin=True))
    told = await until(lambda: next((said for said in house.chat.said if said[1] is State.CANCELLED), None))
    assert told[0] == job


async def test_what_cannot_be_costs_nothing_and_makes_no_job(house: Together) -> None:
    for prompt, error in (("  ", PromptEmpty), ("a forbidden thing", PromptRefused)):
        with pytest.raises(error):
            await house.ask(prompt=prompt)
    with pytest.raises(UnknownChoice):
        await house.studio.act(Action("explode", 1), who("ana"), (await house.ask()).job.reply_to)
    assert len(await house.studio.history(who("ana"))) == 1


async def test_the_last_credit_is_spent_once_however_many_ask(house: Together) -> None:
    asked = await asyncio.gather(*(house.ask("rich") for _ in range(4)), return_exceptions=True)
    assert sum(not isinstance(answer, BaseException) for answer in asked) == 4
    for job in [answer.job.id for answer in asked if not isinstance(answer, BaseException)]:
        house.engine.finish(await house.label(job))
        await house.reached(job, State.DELIVERED)
    more = await asyncio.gather(*(house.ask("rich") for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(answer, QuotaSpent) for answer in more) == 4 - (CREDITS - 4)


async def test_a_replayed_update_makes_no_second_job(house: Together) -> None:
    first, again = await house.ask(update="u1"), await house.ask(update="u1")
    assert first.job.id == again.job.id
    assert len(await house.studio.history(who("ana"))) == 1


async def test_an_unreachable_chat_is_tried_until_it_answers(house: Together) -> None:
    house.chat.failures.extend([Unreachable("down"), Unreachable("down"), Unreachable("down")])
    job = (await house.ask()).job.id
    house.engine.finish(await house.label(job))
    await house.reached(job, State.DELIVERED)
    assert house.chat.shown == {job: 1}
    assert len(house.chat.parcels) == 4
    assert len({parcel.nonce for parcel in house.chat.parcels}) == 1


async def test_a_doubtful_send_is_never_repeated_unasked(house: Together) -> None:
    house.chat.failures.append(Doubtful("no answer"))
    job = (await house.ask()).job.id
    house.engine.finish(await house.label(job))
    await house.reached(job, State.UNCERTAIN)
    house.delivery.ring()
    other = (await house.ask("bob")).job.id
    house.engine.finish(await house.label(other))
    await house.reached(other, State.DELIVERED)
    assert house.chat.shown[job] == 1
    await house.studio.send_again(job, who("ana"))
    await house.reached(job, State.DELIVERED)


async def test_a_doubtful_send_is_repeated_where_one_nonce_shows_once(tmp_path: Path) -> None:
    async with together(tmp_path, deduplicates=True) as house:
        house.chat.failures.append(Doubtful("no answer"))
        job = (await house.ask()).job.id
        house.engine.finish(await house.label(job))
        await house.reached(job, State.DELIVERED)
        assert house.chat.shown == {job: 1}


async def test_a_chat_that_will_never_take_it_is_told_and_refunded_and_the_clip_kept(house: Together) -> None:
    house.chat.failures.append(Rejected("blocked"))
    ticket = await house.ask()
    house.engine.finish(await house.label(ticket.job.id))
    job = await house.reached(ticket.job.id, State.FAILED)
    assert job.clip is not None
    assert job.clip.path.is_file()
    assert await left(house) == CREDITS


async def test_a_chat_that_refuses_below_its_own_limit_is_obeyed_twice_at_most(house: Together) -> None:
    house.chat.failures.extend([TooLarge(), TooLarge(3)])
    first = (await house.ask(limit=100_000)).job.id
    house.engine.finish(await house.label(first))
    await house.reached(first, State.DELIVERED)
    house.chat.failures.extend([TooLarge(), TooLarge(), TooLarge()])
    second = (await house.ask(limit=100_000)).job.id
    house.engine.finish(await house.label(second))
    await house.reached(second, State.FAILED)


async def test_what_was_being_made_at_a_stop_is_made_after_the_next_start(tmp_path: Path) -> None:
    async with together(tmp_path) as house:
        job = (await house.ask()).job.id
        await house.label(job)
    async with together(tmp_path) as house:
        house.engine.finish(await house.label(job))
        done = await house.reached(job, State.DELIVERED)
        assert done.attempt == 0
        assert await left(house) == CREDITS - done.cost


async def test_a_drained_worker_finishes_what_it_has_and_claims_nothing(tmp_path: Path) -> None:
    async with together(tmp_path, slots=1) as house:
        first, second = [(await house.ask(user)).job.id for user in "ab"]
        label = await house.label(first)
        house.worker.drain()
        house.engine.finish(label)
        await asyncio.wait_for(house.worker.drained.wait(), 20)
        await house.reached(first, State.DELIVERED)
        assert (await house.studio.job(second)).state is State.QUEUED


async def test_reroll_and_new_music_are_jobs_of_their_own(house: Together) -> None:
    first = (await house.ask()).job.id
    house.engine.finish(await house.label(first))
    job = await house.reached(first, State.DELIVERED)
    again = await house.studio.act(Action("reroll", first), who("bob"), job.reply_to)
    assert isinstance(again, Ticket)
    assert again.job.request.seed != job.request.seed
    assert again.job.parent == first
    scored = await house.studio.act(Action("score", first, "jazz"), who("ana"), job.reply_to)
    assert isinstance(scored, Ticket)
    assert scored.job.request.music.genre == "jazz"
    assert scored.job.request.source == str(job.clip.path if job.clip else None)


class Slow(FakeFrontend):
    """Says each thing only when the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.may = asyncio.Event()

    async def say(self, job: Job, text: str, *, progress: Progress | None = None) -> float | None:
        rest = await super().say(job, text, progress=progress)
        await self.may.wait()
        return rest


async def test_a_last_word_is_said_even_while_the_word_before_it_is_just_leaving(tmp_path: Path) -> None:
    async with house_of(tmp_path) as (store, studio):
        chat = Slow()
        delivery = Delivery(store=store, frontends={"fake": chat}, fit=halved)
        wish, reply_to = Wish(prompt="a fox", model="testcard"), ReplyTo(platform="fake", chat="c")
        job = (await studio.submit(wish, who("ana"), reply_to)).job
        delivery.progress(job, Progress(Stage.PAINTING, 1, 2))
        await until(lambda: chat.said or None)
        chat.may.set()
        await asyncio.sleep(0)  # one turn: the word has left, its task is about to be tidied up
        delivery.ended(structs.replace(job, state=State.CANCELLED))
        await delivery.settle()
        assert [state for _, state, _ in chat.said] == [State.QUEUED, State.CANCELLED]


async def test_a_chat_rests_after_progress_but_not_before_an_end_nor_when_we_stop(tmp_path: Path) -> None:
    async with house_of(tmp_path) as (store, studio):
        chat = FakeFrontend(rest=300)
        delivery = Delivery(store=store, frontends={"fake": chat}, fit=halved)
        wish, reply_to = Wish(prompt="a fox", model="testcard"), ReplyTo(platform="fake", chat="c")
        first, second = [(await studio.submit(wish, who(name), reply_to)).job for name in ("ana", "ben")]
        for job in (first, second):
            delivery.progress(job, Progress(Stage.PAINTING, 1, 3))
        await until(lambda: len(chat.said) == 2)
        for job in (first, second):
            delivery.progress(job, Progress(Stage.PAINTING, 2, 3))
        delivery.ended(structs.replace(first, state=State.CANCELLED))
        await until(lambda: len(chat.said) == 3)
        async with asyncio.timeout(30):
            await delivery.settle()
        told = [(number, state) for number, state, _ in chat.said]
        assert told == [(1, State.QUEUED), (2, State.QUEUED), (1, State.CANCELLED)]
