"""Every admin verb works alike on every platform and leaves an audit entry."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.admin.admin import VERBS, AdminCommands
from bot.domain.errors import BadArgument, NoSuchPerson, NotAllowed, TooLate, UnknownVerb
from bot.domain.events import EventBus, JobCancelRequested
from bot.domain.jobs import Job, JobState, Requester
from bot.domain.quota import Allowance, Caps, QuotaPlan, Tier
from bot.i18n import messages
from bot.runtime import frontend_registry
from bot.store import admin_decisions
from bot.store.store import Store
from generation.errors import PictureFailed, UnknownChoice
from tests.bot.store.conftest import CLIP, Clock, hold_running_job, read_rows, write_rows
from tests.factories import make_draft

PICTURE_ERROR = PictureFailed("testcard", "black frames")
BASE = Allowance(credits=10)
PLATFORMS = frontend_registry.shipped().platforms
PLAN = QuotaPlan(base=BASE, tiers=(Tier(name="patron", credits=50),))
ADMINS = {
    name: Requester(platform=name, user="1", name="Boss", admin=True)
    for name in ("discord", "telegram", "cli")
}
EXAMPLES = {
    "quota show": "discord:42",
    "quota set": "discord:42 20",
    "quota grant": "discord:42 5 thank you",
    "quota reset": "discord:42",
    "quota tier": "discord:42 patron",
    "queue cancel": "{waiting}",
    "queue move": "{waiting} front",
    "queue clear": "discord:42 yes",
    "block": "discord:42 2h spam",
    "unblock": "discord:42",
    "model enable": "wan",
    "model disable": "wan",
    "model default": "ltx",
    "channel allow": "discord:9",
    "channel deny": "discord:9",
    "channel forget": "discord:9",
    "review release": "{held}",
    "review reject": "{held}",
    "review strike": "{held}",
    "review confirm": "{report}",
    "review close": "{report}",
    "review pardon": "{report}",
    "quota role": "discord:55 patron",
    "stats": "week",
    "announce": "Maintenance tonight.",
}


class AdminHarness:
    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self.stopped: list[int] = []
        events = EventBus()
        events.subscribe(JobCancelRequested, lambda event: self.stopped.append(event.job_id))
        self.admin = AdminCommands(
            store=store, quota_plan=PLAN, models=("ltx", "wan"), platforms=PLATFORMS, events=events
        )

    async def ask(self, user: str = "42", cost: int = 1) -> Job:
        done = await self.store.enqueue(make_draft(user, cost=cost), allowance=BASE, caps=Caps())
        return done.job

    async def hold_job(self) -> Job:
        await self.ask()
        job = await self.store.claim(lease=60)
        assert job is not None
        return await hold_running_job(self.store, job.id, PICTURE_ERROR)

    async def perform(self, line: str, platform: str = "discord") -> str:
        return (await self.admin.perform(line, ADMINS[platform])).to_text()

    async def audit(self) -> list[admin_decisions.AuditEntry]:
        return await self.store.audit_entries(100)

    async def credits_left(self) -> int:
        return (await self.store.balance("discord:42", BASE)).left


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[AdminHarness]:
    clock = Clock()
    store = await Store.open(tmp_path, clock=clock)
    yield AdminHarness(store, clock)
    await store.close()


@pytest.mark.parametrize("verb", VERBS)
async def test_every_verb_answers_alike_everywhere_and_is_audited(harness: AdminHarness, verb: str) -> None:
    answers = set()
    for where in ADMINS:
        await harness.store.pause(paused=False)
        held = await harness.hold_job()
        waiting = await harness.ask()
        report = await harness.store.file_report("report", person="discord:42", job=held.id)
        line = f"{verb} {EXAMPLES.get(verb, '')}".format(waiting=waiting.id, held=held.id, report=report)
        answer = await harness.perform(line, where)
        answers.add(answer.splitlines()[0].replace(f"#{waiting.id}", "#").replace(f"#{held.id}", "#"))
        rows = [row for row in await harness.audit() if row.verb == verb and row.admin == f"{where}:1"]
        assert len(rows) == (0 if VERBS[verb].read_only else 1)
    kinds = {"".join(c for c in answer if not c.isdigit()) for answer in answers}
    assert len(kinds) == 1


async def test_only_admins_may_use_the_verbs(harness: AdminHarness) -> None:
    await harness.ask()
    for verb in VERBS:
        with pytest.raises(NotAllowed):
            await harness.admin.perform(verb, Requester(platform="discord", user="42"))
    assert await harness.audit() == []


async def test_grants_and_resets_reach_the_balance(harness: AdminHarness) -> None:
    await harness.ask(cost=4)
    await harness.perform("quota grant 42 5")
    assert await harness.credits_left() == 11
    await harness.perform("quota reset @42")
    assert await harness.credits_left() == 15
    assert "0 of 10 used, 5 granted, 15 left" in await harness.perform("quota show <@42>")


async def test_settings_of_one_user_are_kept(harness: AdminHarness) -> None:
    await harness.ask()
    await harness.perform("quota set 42 99")
    await harness.perform("quota tier 42 patron")
    standing = await harness.store.standing("discord:42")
    assert (standing.credits, standing.tier) == (99, "patron")
    await harness.perform("quota tier 42 none")
    assert (await harness.store.standing("discord:42")).tier is None


@pytest.mark.parametrize(
    "line",
    [
        "quota grant 42 -5",
        "quota grant 42 0",
        "quota grant 42 1e9",
        "quota grant 42 99999999999",
        "quota grant 42",
        "quota set 42 -1",
        "block 42 5x",
        "block ''",
        "queue cancel x",
        "stats yesterday",
        "announce",
    ],
)
async def test_a_bad_argument_is_refused_with_an_example(harness: AdminHarness, line: str) -> None:
    await harness.ask()
    with pytest.raises(BadArgument) as refusal:
        await harness.perform(line)
    assert refusal.value.usage in messages.explain(refusal.value)
    assert await harness.audit() == []
    assert await harness.credits_left() == 9


async def test_unknown_users_models_tiers_and_verbs_are_refused(harness: AdminHarness) -> None:
    with pytest.raises(NoSuchPerson):
        await harness.perform("quota grant 777 5")
    with pytest.raises(UnknownChoice):
        await harness.perform("model disable wann")
    await harness.ask()
    with pytest.raises(UnknownChoice):
        await harness.perform("quota tier 42 gold")
    with pytest.raises(UnknownVerb) as refusal:
        await harness.perform("qota show 42")
    assert refusal.value.near == "quota show"


async def test_moving_puts_a_job_at_that_queue_position(harness: AdminHarness) -> None:
    jobs = [await harness.ask(user) for user in "abcd"]
    await harness.perform(f"queue move {jobs[3].id} front")
    assert [await harness.store.queue_position(job.id) for job in jobs] == [1, 2, 3, 0]
    await harness.perform(f"queue move {jobs[0].id} 2")
    assert [await harness.store.queue_position(job.id) for job in jobs] == [2, 1, 3, 0]
    await harness.perform(f"queue move {jobs[3].id} end")
    assert [await harness.store.queue_position(job.id) for job in jobs] == [1, 0, 2, 3]


async def test_a_job_that_has_started_is_not_moved(harness: AdminHarness) -> None:
    job = await harness.ask()
    await harness.store.claim(lease=60)
    with pytest.raises(TooLate):
        await harness.perform(f"queue move {job.id} front")
    assert await harness.audit() == []


async def test_cancelling_stops_the_engine_and_refunds(harness: AdminHarness) -> None:
    job = await harness.ask(cost=5)
    await harness.store.claim(lease=60)
    await harness.perform(f"queue cancel {job.id}")
    assert harness.stopped == [job.id]
    assert await harness.credits_left() == 10


async def test_a_cleared_queue_is_refunded(harness: AdminHarness) -> None:
    for _ in range(3):
        await harness.ask(cost=2)
    other = await harness.ask("7")
    assert "3 " in await harness.perform("queue clear 42 yes")
    assert await harness.credits_left() == 10
    assert (await harness.store.job(other.id)).state is JobState.QUEUED


@pytest.mark.parametrize(("person", "count"), [("42", 2), ("", 3)])
async def test_clearing_the_queue_needs_a_confirmation(
    harness: AdminHarness, person: str, count: int
) -> None:
    for user in ("42", "42", "7"):
        await harness.ask(user)
    answer = await harness.perform(f"queue clear {person}")
    assert f"{count} waiting" in answer
    assert len(await harness.store.waiting()) == 3, "nothing was done yet"
    assert await harness.audit() == []
    confirmed = answer.rpartition(": ")[2]
    assert confirmed == " ".join(filter(None, ["queue clear", person and f"discord:{person}", "yes"]))
    assert f"{count} waiting clips are cancelled" in await harness.perform(confirmed)
    assert len(await harness.store.waiting()) == 3 - count
    assert [row.verb for row in await harness.audit()] == ["queue clear"]


async def test_a_block_expires(harness: AdminHarness) -> None:
    clock = Clock()
    await harness.perform("block 42 2h spam")
    key = "discord:42"
    assert (
        await read_rows(harness.store, lambda c: admin_decisions.active_block(c, key, clock.now + 7199))
        is not None
    )
    assert (
        await read_rows(harness.store, lambda c: admin_decisions.active_block(c, key, clock.now + 7201))
        is None
    )


async def test_the_last_rule_set_applies(harness: AdminHarness) -> None:
    for line in ("model disable wan", "model default ltx", "channel deny 9", "queue drain", "queue pause"):
        await harness.perform(line)
    rules = await harness.store.admin_rules()
    assert rules.disabled_models == frozenset({"wan"})
    assert (rules.closed, rules.default_model) == ("drain", "ltx")
    assert not rules.allows_channels({"discord:9"}, private=False)
    assert rules.allows_channels({"discord:8"}, private=False)
    assert await harness.store.paused()
    for line in ("channel allow 9", "queue resume", "model enable wan"):
        await harness.perform(line)
    rules = await harness.store.admin_rules()
    assert (rules.closed, rules.disabled_models) == (None, frozenset())
    assert rules.allows_channels({"discord:9"}, private=False)
    assert not rules.allows_channels({"discord:8"}, private=False)


async def test_a_held_job_is_released_or_refunded(harness: AdminHarness) -> None:
    first, second = await harness.hold_job(), await harness.hold_job()
    await harness.store.file_report("report", person="discord:7", job=first.id, words="odd")
    answer = await harness.perform("review list")
    assert f"#{first.id}" in answer
    assert "odd" in answer
    await harness.perform(f"review release {first.id}")
    await harness.perform(f"review reject {second.id}")
    assert (await harness.store.job(first.id)).state is JobState.QUEUED
    assert (await harness.store.job(second.id)).state is JobState.FAILED
    assert await harness.credits_left() == 9


async def test_an_admin_gives_strikes_for_clips(harness: AdminHarness) -> None:
    """The user who made the clip is blocked, not the one who reported it."""
    held, reported = await harness.hold_job(), await harness.ask()
    assert "discord:42" in await harness.perform(f"review strike {held.id}")
    assert (await harness.store.job(held.id)).state is JobState.FAILED
    block = (await harness.store.standing("discord:42")).block
    assert block is not None
    assert block.until == harness.clock.now + 600
    number = await harness.store.file_report("report", person="discord:7", job=reported.id)
    await harness.perform(f"review confirm {number}")
    second = (await harness.store.standing("discord:42")).block
    assert second is not None
    assert second.until == harness.clock.now + 3600
    assert (await harness.store.standing("discord:7")).block is None


async def test_a_released_clip_is_sent_and_not_generated_again(harness: AdminHarness) -> None:
    await harness.ask()
    job = await harness.store.claim(lease=60)
    assert job is not None
    await harness.store.mark_rendered(job.id, job.epoch, CLIP)
    await harness.store.hold_clip(job.id, PICTURE_ERROR)
    assert await harness.store.undelivered() == []
    await harness.perform(f"review release {job.id}")
    assert [found.id for found in await harness.store.undelivered()] == [job.id]


async def test_an_announcement_lasts_for_a_day_or_until_the_next(harness: AdminHarness) -> None:
    await harness.perform("announce Maintenance tonight.")
    assert await harness.store.announcement() == "Maintenance tonight."
    await harness.perform("announce Maintenance is over.")
    assert await harness.store.announcement() == "Maintenance is over."
    harness.clock.now += 86_400
    assert await harness.store.announcement() == ""
    await harness.perform("announce Hello")
    await harness.perform("announce stop")
    assert await harness.store.announcement() == ""


async def test_an_announcement_carries_no_control_characters(harness: AdminHarness) -> None:
    await harness.perform("announce over \u202ehere\x07 now")
    assert await harness.store.announcement() == "over here now"


@pytest.mark.parametrize("sql", ["DELETE FROM audit", "UPDATE audit SET admin = 'nobody'"])
async def test_the_audit_log_never_changes(harness: AdminHarness, sql: str) -> None:
    await harness.perform("queue pause")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        await write_rows(harness.store, lambda c: c.execute(sql).rowcount)
    assert "queue pause" in await harness.perform("audit")
