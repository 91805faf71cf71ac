"""Tiers, links, privacy and waiting times keep every sum true."""

from __future__ import annotations

import json

import pytest

from bot.domain.errors import BadCode
from bot.domain.jobs import State
from bot.moderation.prompt_policy import timeout
from generation.errors import PaintFailed
from tests.bot.store.conftest import CLIP, Desk, a_draft

DAY = 86_400.0
BROKEN = PaintFailed("testcard", "black frames")


async def finished(desk: Desk, user: str = "42", cost: int = 1) -> int:
    await desk.ask(a_draft(user, cost=cost))
    job = await desk.render()
    await desk.store.begin_delivery(job.id)
    await desk.store.delivered(job.id, "m")
    return job.id


async def test_two_platforms_share_one_account_after_the_code_is_said(desk: Desk) -> None:
    await desk.ask(a_draft("42", cost=100))
    await desk.ask(a_draft("5", platform="telegram", cost=7))
    await desk.store.grant("telegram:5", 30)
    code = await desk.store.link_code("discord:42")
    assert await desk.store.link("telegram:5", code.lower()) == "discord:42"
    assert await desk.store.linked("telegram:5") == ["discord:42", "telegram:5"]
    assert await desk.left("telegram:5") == await desk.left("discord:42") == 1000 - 100 + 30
    assert len(await desk.store.history("telegram:5")) == 2
    with pytest.raises(BadCode):
        await desk.store.link("telegram:6", code)


async def test_a_code_ends_after_ten_minutes_and_is_not_for_oneself(desk: Desk) -> None:
    code = await desk.store.link_code("discord:42")
    with pytest.raises(BadCode):
        await desk.store.link("discord:42", code)
    desk.clock.now += 601
    with pytest.raises(BadCode):
        await desk.store.link("telegram:5", code)
    with pytest.raises(BadCode):
        await desk.store.link("telegram:5", "")


async def test_linked_people_share_one_turn(desk: Desk) -> None:
    await desk.store.link("telegram:42", await desk.store.link_code("discord:42"))
    for _ in range(3):
        await desk.ask(a_draft("42"))
        await desk.ask(a_draft("42", platform="telegram"))
    other = await desk.ask(a_draft("other"))
    assert await desk.store.place(other.id) == 1


async def test_an_export_holds_all_that_is_known_and_no_token(desk: Desk) -> None:
    job = await finished(desk)
    await desk.store.change_setting("discord:42", "genre", "jazz")
    text = json.dumps(await desk.store.export("discord:42"))
    data = json.loads(text)
    assert [found["id"] for found in data["jobs"]] == [job]
    assert data["jobs"][0]["request"]["prompt"] == "a fox in the snow"
    assert "jazz" in text
    assert "token" not in data["jobs"][0]["reply_to"]
    assert [entry["kind"] for entry in data["credits"]] == ["settle", "reserve"]


async def test_a_forgotten_person_leaves_sums_but_no_trace(desk: Desk) -> None:
    job = await finished(desk, "471108154711081547", cost=5)
    swept = await desk.store.forget("discord:471108154711081547")
    assert swept.files == (str(CLIP.path),)
    dump = await desk.store.look(lambda c, _: "\n".join(c.iterdump()))
    assert "471108154711081547" not in dump
    assert "fox" not in dump
    assert "Ana" not in dump
    kept = await desk.store.job(job)
    assert (kept.state, kept.cost, kept.clip) == (State.DELIVERED, 5, None)


async def test_deleting_ones_data_refills_no_purse(desk: Desk) -> None:
    await finished(desk, cost=600)
    await desk.store.forget("discord:42")
    await desk.ask(a_draft(cost=100))
    assert await desk.left() == 300
    assert [job.cost for job in await desk.store.history("discord:42", 1)] == [100]


async def test_old_prompts_and_clips_go_and_the_counts_stay(desk: Desk) -> None:
    old = await finished(desk)
    desk.clock.now += 30 * DAY
    new = await finished(desk)
    swept = await desk.store.sweep(before=desk.clock.now - 10 * DAY)
    assert (swept.jobs, swept.files) == (1, (str(CLIP.path),))
    assert (await desk.store.job(old)).request.prompt == ""
    assert (await desk.store.job(new)).request.prompt == "a fox in the snow"
    assert (await desk.store.sweep(before=desk.clock.now - 10 * DAY)).jobs == 0


async def test_time_outs_grow_with_every_severe_refusal_and_fade(desk: Desk) -> None:
    lengths = []
    for _ in range(5):
        block = await desk.store.strike("discord:42", "safety", wait=timeout)
        lengths.append(block.until and block.until - desk.clock.now)
    assert lengths == [600, 3600, DAY, 7 * DAY, None]
    assert (await desk.store.standing("discord:42")).block is not None
    desk.clock.now += 31 * DAY
    block = await desk.store.strike("discord:42", "safety", wait=timeout)
    assert block.until == desk.clock.now + 600


async def test_a_report_counts_once_a_person(desk: Desk) -> None:
    job = await finished(desk)
    assert await desk.store.complain("report", person="discord:7", job=job)
    assert not await desk.store.complain("report", person="discord:7", job=job)
    assert await desk.store.complain("report", person="discord:8", job=job)


async def test_a_waiting_time_is_promised_only_once_measured_and_holds(desk: Desk) -> None:
    first = await desk.ask()
    assert await desk.store.eta(first.id) is None
    for seconds in (10, 12, 11, 10, 13, 10, 11, 12):
        job = await desk.claim()
        desk.clock.now += seconds
        await desk.store.rendered(job.id, job.epoch, CLIP)
        await desk.ask(a_draft("a"))
    line = [await desk.ask(a_draft("b")) for _ in range(3)]
    eta = await desk.store.eta(line[2].id)
    assert eta is not None
    assert eta.low < 4 * 11 < eta.high < 4 * 11 * 2
    twice = await desk.store.eta(line[2].id, slots=2)
    assert twice is not None
    assert twice.high == pytest.approx(eta.high / 2)


async def test_the_promise_gets_narrower_as_jobs_run(desk: Desk) -> None:
    widths = []
    for _ in range(12):
        await desk.ask()
        job = await desk.claim()
        desk.clock.now += 10
        await desk.store.rendered(job.id, job.epoch, CLIP)
        waiting = await desk.ask()
        eta = await desk.store.eta(waiting.id)
        assert eta is not None
        widths.append(eta.high - eta.low)
        await desk.store.cancel(waiting.id)
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < widths[0] / 2
