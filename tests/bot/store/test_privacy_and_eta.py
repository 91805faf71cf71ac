"""Linked accounts, exports, deletion, strikes, reports and estimates; sums stay correct."""

from __future__ import annotations

import json

import pytest

from bot.domain.errors import InvalidLinkCode
from bot.domain.jobs import JobState
from bot.moderation.prompt_policy import strike_timeout
from bot.store.store import LinkSide
from generation.errors import PictureFailed
from tests.bot.store.conftest import CLIP, StoreHarness, read_rows
from tests.factories import link_users, make_draft

DAY = 86_400.0
PICTURE_ERROR = PictureFailed("testcard", "black frames")


def side(key: str) -> LinkSide:
    return LinkSide(key, "", "en")


async def deliver_clip(harness: StoreHarness, user: str = "42", cost: int = 1) -> int:
    await harness.ask(make_draft(user, cost=cost))
    job = await harness.render()
    await harness.store.begin_delivery(job.id)
    await harness.store.mark_delivered(job.id, "m")
    return job.id


async def test_two_platforms_share_one_account_after_linking(harness: StoreHarness) -> None:
    await harness.ask(make_draft("42", cost=100))
    await harness.ask(make_draft("5", platform="telegram", cost=7))
    await harness.store.grant("telegram:5", 30)
    code = await harness.store.create_link_code(side("discord:42"))
    request = await harness.store.request_link(side("telegram:5"), code.lower())
    assert request.other_side("telegram:5").key == "discord:42"
    assert await harness.store.linked_keys("telegram:5") == ["telegram:5"], "nobody has confirmed"
    await harness.store.answer_link_request("telegram:5", request.id, agree=True)
    assert await harness.store.linked_keys("telegram:5") == ["telegram:5"], "one side has not confirmed"
    await harness.store.answer_link_request("discord:42", request.id, agree=True)
    assert await harness.store.linked_keys("telegram:5") == ["discord:42", "telegram:5"]
    assert (
        await harness.credits_left("telegram:5")
        == await harness.credits_left("discord:42")
        == 1000 - 100 + 30
    )
    assert len(await harness.store.history("telegram:5")) == 2
    with pytest.raises(InvalidLinkCode):
        await harness.store.request_link(side("telegram:6"), code)


async def test_a_link_code_expires_and_is_not_valid_for_its_owner(harness: StoreHarness) -> None:
    code = await harness.store.create_link_code(side("discord:42"))
    with pytest.raises(InvalidLinkCode):
        await harness.store.request_link(side("discord:42"), code)
    harness.clock.now += 601
    with pytest.raises(InvalidLinkCode):
        await harness.store.request_link(side("telegram:5"), code)
    with pytest.raises(InvalidLinkCode):
        await harness.store.request_link(side("telegram:5"), "")


async def test_linked_users_share_one_turn(harness: StoreHarness) -> None:
    await link_users(harness.store, "discord:42", "telegram:42")
    for _ in range(3):
        await harness.ask(make_draft("42"))
        await harness.ask(make_draft("42", platform="telegram"))
    other = await harness.ask(make_draft("other"))
    assert await harness.store.queue_position(other.id) == 1


async def test_an_export_has_all_stored_data_but_no_token(harness: StoreHarness) -> None:
    job = await deliver_clip(harness)
    await harness.store.change_setting("discord:42", "genre", "jazz")
    text = json.dumps(await harness.store.export("discord:42"))
    data = json.loads(text)
    assert [found["id"] for found in data["jobs"]] == [job]
    assert data["jobs"][0]["request"]["prompt"] == "a fox in the snow"
    assert "jazz" in text
    assert "token" not in data["jobs"][0]["reply_to"]
    assert [entry["kind"] for entry in data["credits"]] == ["settle", "reserve"]


async def test_a_deleted_user_leaves_sums_but_no_personal_data(harness: StoreHarness) -> None:
    job = await deliver_clip(harness, "471108154711081547", cost=5)
    swept = await harness.store.delete_personal_data("discord:471108154711081547")
    assert swept.files == (str(CLIP.path),)
    dump = await read_rows(harness.store, lambda c: "\n".join(c.iterdump()))
    assert "471108154711081547" not in dump
    assert "fox" not in dump
    assert "Ana" not in dump
    kept = await harness.store.job(job)
    assert (kept.state, kept.cost, kept.clip) == (JobState.DELIVERED, 5, None)


async def test_deleting_data_restores_no_credits(harness: StoreHarness) -> None:
    await deliver_clip(harness, cost=600)
    await harness.store.delete_personal_data("discord:42")
    await harness.ask(make_draft(cost=100))
    assert await harness.credits_left() == 300
    assert [job.cost for job in await harness.store.history("discord:42", 1)] == [100]


async def test_old_prompts_and_clips_are_deleted_and_counts_stay(harness: StoreHarness) -> None:
    old = await deliver_clip(harness)
    harness.clock.now += 30 * DAY
    new = await deliver_clip(harness)
    swept = await harness.store.delete_expired(before=harness.clock.now - 10 * DAY)
    assert (swept.jobs, swept.files) == (1, (str(CLIP.path),))
    assert (await harness.store.job(old)).request.prompt == ""
    assert (await harness.store.job(new)).request.prompt == "a fox in the snow"
    assert (await harness.store.delete_expired(before=harness.clock.now - 10 * DAY)).jobs == 0


async def test_timeouts_grow_with_each_severe_refusal_and_expire(harness: StoreHarness) -> None:
    lengths = []
    for _ in range(5):
        block = await harness.store.add_strike("discord:42", "safety", timeout_for=strike_timeout)
        lengths.append(block.until and block.until - harness.clock.now)
    assert lengths == [600, 3600, DAY, 7 * DAY, None]
    assert (await harness.store.standing("discord:42")).block is not None
    harness.clock.now += 31 * DAY
    block = await harness.store.add_strike("discord:42", "safety", timeout_for=strike_timeout)
    assert block.until == harness.clock.now + 600


async def test_a_report_counts_once_per_user(harness: StoreHarness) -> None:
    job = await deliver_clip(harness)
    assert await harness.store.file_report("report", person="discord:7", job=job)
    assert not await harness.store.file_report("report", person="discord:7", job=job)
    assert await harness.store.file_report("report", person="discord:8", job=job)


async def test_an_eta_exists_only_once_measured_and_holds(harness: StoreHarness) -> None:
    first = await harness.ask()
    assert await harness.store.eta(first.id) is None
    for seconds in (10, 12, 11, 10, 13, 10, 11, 12):
        job = await harness.claim()
        harness.clock.now += seconds
        await harness.store.mark_rendered(job.id, job.epoch, CLIP)
        await harness.ask(make_draft("a"))
    line = [await harness.ask(make_draft("b")) for _ in range(3)]
    eta = await harness.store.eta(line[2].id)
    assert eta is not None
    assert eta.low < 4 * 11 < eta.high < 4 * 11 * 2
    twice = await harness.store.eta(line[2].id, slots=2)
    assert twice is not None
    assert twice.high == pytest.approx(eta.high / 2)


async def test_the_eta_range_narrows_as_jobs_run(harness: StoreHarness) -> None:
    widths = []
    for _ in range(12):
        await harness.ask()
        job = await harness.claim()
        harness.clock.now += 10
        await harness.store.mark_rendered(job.id, job.epoch, CLIP)
        waiting = await harness.ask()
        eta = await harness.store.eta(waiting.id)
        assert eta is not None
        widths.append(eta.high - eta.low)
        await harness.store.cancel(waiting.id)
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < widths[0] / 2
