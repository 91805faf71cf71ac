"""The life of a job in the real studio, store, worker and delivery."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import structs

from bot.domain.errors import NotYourJob, PromptRefused, QuotaSpent, TooLate
from bot.domain.events import JobEnded, JobProgressed
from bot.domain.jobs import Action, Job, JobState
from bot.domain.quota import Allowance
from bot.pipeline.delivery import MaybeSent, Rejected, TooLarge, Unreachable
from bot.studio.studio import Submission
from generation.errors import EngineDied, PictureFailed, PromptEmpty, UnknownChoice
from generation.progress import Progress, Stage
from tests.bot.app_harness import (
    CREDITS,
    AppHarness,
    open_app,
    running_app,
    wait_until,
    wait_until_async,
)
from tests.factories import make_reply_to, make_viewer, make_wish
from tests.fakes.frontend import FakeFrontend

ALLOWANCE = Allowance(credits=CREDITS)


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[AppHarness]:
    async with running_app(tmp_path) as everything:
        yield everything


async def credits_left(app: AppHarness, user: str = "ana") -> int:
    return (await app.studio.balance(make_viewer(user))).left


async def test_a_wish_becomes_a_clip_in_the_chat(app: AppHarness) -> None:
    submission = await app.ask()
    app.engine.finish(await app.engine_label(submission.job.id))
    job = await app.wait_for_state(submission.job.id, JobState.DELIVERED)
    assert job.message == f"message {job.id}"
    assert app.chat.clip_counts == {job.id: 1}
    assert job.request.prompt in app.chat.outgoing_clips[0].text
    assert await credits_left(app) == CREDITS - job.cost


async def test_the_engine_is_kept_busy_but_never_beyond_its_slots(app: AppHarness) -> None:
    jobs = [(await app.ask(user)).job.id for user in "abcde"]
    for job in jobs:
        app.engine.finish(await app.engine_label(job))
    for job in jobs:
        await app.wait_for_state(job, JobState.DELIVERED)
    assert app.engine.max_in_flight == app.engine.slots


async def test_a_failure_is_reported_with_its_number_and_refunded(app: AppHarness) -> None:
    submission = await app.ask()
    app.engine.fail(await app.engine_label(submission.job.id), PictureFailed("testcard", "black"))
    await app.wait_for_state(submission.job.id, JobState.FAILED)
    number, _, text = await wait_until(
        lambda: next((status for status in app.chat.statuses if status[1] is JobState.FAILED), None)
    )
    assert number == submission.job.id
    assert f"#{number}" in text
    assert "black" not in text
    assert await credits_left(app) == CREDITS


async def test_an_unexpected_engine_error_ends_one_job_only(app: AppHarness) -> None:
    first, second = [(await app.ask(user)).job.id for user in "ab"]
    app.engine.fail(await app.engine_label(first), ZeroDivisionError("an unexpected error"))
    await app.wait_for_state(first, JobState.FAILED)
    app.engine.finish(await app.engine_label(second))
    await app.wait_for_state(second, JobState.DELIVERED)


async def test_only_a_job_that_crashes_the_engine_twice_is_given_up(
    app: AppHarness,
) -> None:
    job = (await app.ask()).job.id
    for _ in range(4):
        app.engine.fail(await app.engine_label(job), EngineDied("killed with another job", guilty=False))
    app.engine.fail(await app.engine_label(job), EngineDied("its fault"))
    app.engine.fail(await app.engine_label(job), EngineDied("its fault again"))
    await app.wait_for_state(job, JobState.FAILED)
    assert await credits_left(app) == CREDITS


async def test_cancelling_a_running_job_frees_the_engine_and_credits(app: AppHarness) -> None:
    job = (await app.ask()).job.id
    await app.engine_label(job)
    await app.studio.cancel(job, make_viewer("ana"))
    await wait_until(lambda: not app.engine.orders)
    assert (await app.store.job(job)).state is JobState.CANCELLED
    assert await credits_left(app) == CREDITS
    with pytest.raises(TooLate):
        await app.studio.cancel(job, make_viewer("ana"))


async def wait_until_picture_done(app: AppHarness, job: int) -> Job:
    async def look() -> Job | None:
        found = await app.store.job(job)
        return found if found.picture_done else None

    return await wait_until_async(look)


async def final_status_of(app: AppHarness, job: int) -> str:
    number, _, text = await wait_until(
        lambda: next((shown for shown in app.chat.statuses if shown[:2] == (job, JobState.CANCELLED)), None)
    )
    assert number == job
    return text


async def test_cancelling_before_the_last_frame_is_refunded_and_says_so(app: AppHarness) -> None:
    job = (await app.ask()).job.id
    label = await app.engine_label(job)
    app.engine.report(label, Stage.GENERATING_FRAMES, 7, 8)
    app.engine.report(label, Stage.COMPOSING, 1, 1)  # music is composed while frames are generated
    cancelled = await app.studio.cancel(job, make_viewer("ana"))
    assert not cancelled.picture_done
    assert await credits_left(app) == CREDITS
    assert "credits are back" in await final_status_of(app, job)


@pytest.mark.parametrize(
    "last", [(Stage.GENERATING_FRAMES, 8, 8), (Stage.ENCODING, 0, 24), (Stage.FITTING, 1, 2)]
)
async def test_cancelling_after_the_last_frame_is_charged_and_says_so(
    app: AppHarness, last: tuple[Stage, int, int]
) -> None:
    submitted = (await app.ask()).job
    app.engine.report(await app.engine_label(submitted.id), *last)
    await wait_until_picture_done(app, submitted.id)
    await app.studio.cancel(submitted.id, make_viewer("ana"))
    await wait_until(lambda: not app.engine.orders or None)
    assert await credits_left(app) == CREDITS - submitted.cost
    assert "credits are spent" in await final_status_of(app, submitted.id)


@pytest.mark.parametrize("guilty", [True, False])
async def test_a_job_whose_frames_must_be_generated_again_is_refunded(
    app: AppHarness, *, guilty: bool
) -> None:
    job = (await app.ask()).job.id
    label = await app.engine_label(job)
    app.engine.report(label, Stage.GENERATING_FRAMES, 8, 8)
    await wait_until_picture_done(app, job)
    app.engine.fail(label, EngineDied("killed while encoding", guilty=guilty))
    await wait_until(lambda: any(name != label for name in app.engine.unfinished()) or None)
    assert not (await app.store.job(job)).picture_done
    await app.studio.cancel(job, make_viewer("ana"))
    assert await credits_left(app) == CREDITS


async def test_an_engine_that_dies_right_after_the_last_frame_leaves_no_record(app: AppHarness) -> None:
    job = (await app.ask()).job.id
    label = await app.engine_label(job)
    app.engine.report(label, Stage.GENERATING_FRAMES, 8, 8)
    app.engine.fail(label, EngineDied("killed", guilty=False))  # before the record is written
    await wait_until(lambda: any(name != label for name in app.engine.unfinished()) or None)
    assert not (await app.store.job(job)).picture_done
    await app.studio.cancel(job, make_viewer("ana"))
    assert await credits_left(app) == CREDITS


async def test_new_music_generates_no_frames_so_its_cancel_is_refunded(app: AppHarness) -> None:
    first = (await app.ask()).job
    app.engine.finish(await app.engine_label(first.id))
    await app.wait_for_state(first.id, JobState.DELIVERED)
    left = await credits_left(app)
    again = await app.studio.perform(Action("score", first.id, "jazz"), make_viewer("ana"), first.reply_to)
    assert isinstance(again, Submission)
    app.engine.report(await app.engine_label(again.job.id), Stage.ENCODING, 0, 24)
    await app.studio.cancel(again.job.id, make_viewer("ana"))
    assert await credits_left(app) == left


async def test_progress_after_the_last_frame_changes_nothing_more(app: AppHarness) -> None:
    job = (await app.ask()).job.id
    label = await app.engine_label(job)
    for stage in (Stage.GENERATING_FRAMES, Stage.COMPOSING, Stage.ENCODING, Stage.ENCODING):
        app.engine.report(label, stage, 8, 8)
    recorded = await wait_until_picture_done(app, job)
    app.engine.report(label, Stage.ENCODING, 8, 8)
    app.engine.finish(label)
    done = await app.wait_for_state(job, JobState.DELIVERED)
    assert recorded.epoch == done.epoch


async def test_only_its_owner_or_an_admin_cancels_a_job(app: AppHarness) -> None:
    job = (await app.ask()).job.id
    with pytest.raises(NotYourJob):
        await app.studio.cancel(job, make_viewer("bob"))
    assert (await app.studio.cancel(job, make_viewer("bob", admin=True))).state is JobState.CANCELLED


async def test_a_user_is_notified_when_an_admin_cancels(app: AppHarness) -> None:
    job = (await app.ask()).job.id
    await app.engine_label(job)
    await app.studio.administer(f"queue cancel {job}", make_viewer("boss", admin=True))
    shown = await wait_until(
        lambda: next((status for status in app.chat.statuses if status[1] is JobState.CANCELLED), None)
    )
    assert shown[0] == job


async def test_an_invalid_request_costs_nothing_and_makes_no_job(app: AppHarness) -> None:
    for prompt, error in (("  ", PromptEmpty), ("a forbidden thing", PromptRefused)):
        with pytest.raises(error):
            await app.ask(prompt=prompt)
    with pytest.raises(UnknownChoice):
        await app.studio.perform(Action("explode", 1), make_viewer("ana"), (await app.ask()).job.reply_to)
    assert len(await app.studio.history(make_viewer("ana"))) == 1


async def test_concurrent_requests_spend_the_last_credit_once(app: AppHarness) -> None:
    asked = await asyncio.gather(*(app.ask("rich") for _ in range(4)), return_exceptions=True)
    assert sum(not isinstance(answer, BaseException) for answer in asked) == 4
    for job in [answer.job.id for answer in asked if not isinstance(answer, BaseException)]:
        app.engine.finish(await app.engine_label(job))
        await app.wait_for_state(job, JobState.DELIVERED)
    more = await asyncio.gather(*(app.ask("rich") for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(answer, QuotaSpent) for answer in more) == 4 - (CREDITS - 4)


async def test_a_replayed_update_makes_no_second_job(app: AppHarness) -> None:
    first, again = await app.ask(idempotency_key="u1"), await app.ask(idempotency_key="u1")
    assert first.job.id == again.job.id
    assert len(await app.studio.history(make_viewer("ana"))) == 1


async def test_an_unreachable_chat_is_retried_until_it_answers(app: AppHarness) -> None:
    app.chat.failures.extend([Unreachable("down"), Unreachable("down"), Unreachable("down")])
    job = (await app.ask()).job.id
    app.engine.finish(await app.engine_label(job))
    await app.wait_for_state(job, JobState.DELIVERED)
    assert app.chat.clip_counts == {job: 1}
    assert len(app.chat.outgoing_clips) == 4
    assert len({outgoing.nonce for outgoing in app.chat.outgoing_clips}) == 1


async def test_an_uncertain_clip_is_sent_again_only_on_request(app: AppHarness) -> None:
    app.chat.failures.append(MaybeSent("no answer"))
    job = (await app.ask()).job.id
    app.engine.finish(await app.engine_label(job))
    await app.wait_for_state(job, JobState.UNCERTAIN)
    app.delivery.wake()
    other = (await app.ask("bob")).job.id
    app.engine.finish(await app.engine_label(other))
    await app.wait_for_state(other, JobState.DELIVERED)
    assert app.chat.clip_counts[job] == 1
    await app.studio.send_again(job, make_viewer("ana"))
    await app.wait_for_state(job, JobState.DELIVERED)


async def test_an_uncertain_clip_is_sent_again_where_nonces_deduplicate(tmp_path: Path) -> None:
    async with running_app(tmp_path, deduplicates=True) as app:
        app.chat.failures.append(MaybeSent("no answer"))
        job = (await app.ask()).job.id
        app.engine.finish(await app.engine_label(job))
        await app.wait_for_state(job, JobState.DELIVERED)
        assert app.chat.clip_counts == {job: 1}


async def test_a_rejected_delivery_is_refunded_and_the_clip_kept(app: AppHarness) -> None:
    app.chat.failures.append(Rejected("blocked"))
    submission = await app.ask()
    app.engine.finish(await app.engine_label(submission.job.id))
    job = await app.wait_for_state(submission.job.id, JobState.FAILED)
    assert job.clip is not None
    assert job.clip.path.is_file()
    assert await credits_left(app) == CREDITS


async def test_a_too_large_clip_is_shrunk_at_most_twice(app: AppHarness) -> None:
    app.chat.failures.extend([TooLarge(), TooLarge(3)])
    first = (await app.ask(limit=100_000)).job.id
    app.engine.finish(await app.engine_label(first))
    await app.wait_for_state(first, JobState.DELIVERED)
    app.chat.failures.extend([TooLarge(), TooLarge(), TooLarge()])
    second = (await app.ask(limit=100_000)).job.id
    app.engine.finish(await app.engine_label(second))
    await app.wait_for_state(second, JobState.FAILED)


async def test_a_job_running_at_shutdown_is_rendered_after_restart(tmp_path: Path) -> None:
    async with running_app(tmp_path) as app:
        job = (await app.ask()).job.id
        await app.engine_label(job)
    async with running_app(tmp_path) as app:
        app.engine.finish(await app.engine_label(job))
        done = await app.wait_for_state(job, JobState.DELIVERED)
        assert done.attempt == 0
        assert await credits_left(app) == CREDITS - done.cost


async def test_a_drained_worker_finishes_its_jobs_and_claims_none(tmp_path: Path) -> None:
    async with running_app(tmp_path, slots=1) as app:
        first, second = [(await app.ask(user)).job.id for user in "ab"]
        label = await app.engine_label(first)
        app.worker.drain()
        app.engine.finish(label)
        await asyncio.wait_for(app.worker.drained.wait(), 20)
        await app.wait_for_state(first, JobState.DELIVERED)
        assert (await app.store.job(second)).state is JobState.QUEUED


async def test_reroll_and_new_music_are_jobs_of_their_own(app: AppHarness) -> None:
    first = (await app.ask()).job.id
    app.engine.finish(await app.engine_label(first))
    job = await app.wait_for_state(first, JobState.DELIVERED)
    again = await app.studio.perform(Action("reroll", first), make_viewer("bob"), job.reply_to)
    assert isinstance(again, Submission)
    assert again.job.request.seed != job.request.seed
    assert again.job.parent == first
    scored = await app.studio.perform(Action("score", first, "jazz"), make_viewer("ana"), job.reply_to)
    assert isinstance(scored, Submission)
    assert scored.job.request.music.genre == "jazz"
    assert scored.job.request.source == str(job.clip.path if job.clip else None)


class BlockingFrontend(FakeFrontend):
    """Shows each status only when the test allows it."""

    def __init__(self) -> None:
        super().__init__()
        self.released = asyncio.Event()

    async def show_status(self, job: Job, text: str, *, progress: Progress | None = None) -> float | None:
        rest = await super().show_status(job, text, progress=progress)
        await self.released.wait()
        return rest


async def test_the_final_status_is_shown_while_another_is_being_sent(tmp_path: Path) -> None:
    chat = BlockingFrontend()
    async with open_app(tmp_path, chat=chat) as app:
        wish, reply_to = make_wish(), make_reply_to()
        job = (await app.studio.submit(wish, make_viewer("ana"), reply_to)).job
        app.events.publish(JobProgressed(job, Progress(Stage.GENERATING_FRAMES, 1, 2)))
        await wait_until(lambda: chat.statuses or None)
        chat.released.set()
        await asyncio.sleep(0)  # one turn of the loop: the status is sent, and its task is about to end
        app.events.publish(JobEnded(structs.replace(job, state=JobState.CANCELLED)))
        await app.delivery.wait_for_sends()
        assert [state for _, state, _ in chat.statuses] == [JobState.QUEUED, JobState.CANCELLED]


async def test_status_pauses_apply_to_progress_but_not_to_final_status(tmp_path: Path) -> None:
    chat = FakeFrontend(quiet_seconds=300)
    async with open_app(tmp_path, chat=chat) as app:
        wish, reply_to = make_wish(), make_reply_to()
        first, second = [
            (await app.studio.submit(wish, make_viewer(name), reply_to)).job for name in ("ana", "ben")
        ]
        for job in (first, second):
            app.events.publish(JobProgressed(job, Progress(Stage.GENERATING_FRAMES, 1, 3)))
        await wait_until(lambda: len(chat.statuses) == 2)
        for job in (first, second):
            app.events.publish(JobProgressed(job, Progress(Stage.GENERATING_FRAMES, 2, 3)))
        app.events.publish(JobEnded(structs.replace(first, state=JobState.CANCELLED)))
        await wait_until(lambda: len(chat.statuses) == 3)
        async with asyncio.timeout(30):
            await app.delivery.wait_for_sends()
        shown = [(number, state) for number, state, _ in chat.statuses]
        assert shown == [(1, JobState.QUEUED), (2, JobState.QUEUED), (1, JobState.CANCELLED)]
