"""Every admin verb works with the same words from everywhere, and leaves its row."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.admin.admin import VERBS, Admin
from bot.domain.errors import BadArgument, NoSuchPerson, NotAllowed, TooLate, UnknownVerb
from bot.domain.jobs import Job, Requester, State
from bot.domain.quota import Allowance, Caps, Plan, Tier
from bot.i18n import messages
from bot.store import admin_state
from bot.store.store import Store
from generation.errors import PaintFailed, UnknownChoice
from tests.bot.store.conftest import CLIP, Clock, a_draft

BROKEN = PaintFailed("testcard", "black frames")
BASE = Allowance(credits=10)
PLAN = Plan(base=BASE, tiers=(Tier(name="patron", credits=50),))
BOSSES = {
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
    "queue clear": "discord:42",
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
    "review close": "{report}",
    "review pardon": "{report}",
    "quota role": "discord:55 patron",
    "stats": "week",
    "announce": "We move house tonight.",
}


class Office:
    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self.stopped: list[int] = []
        self.admin = Admin(store=store, plan=PLAN, models=("ltx", "wan"), on_end=self.stopped.append)

    async def ask(self, user: str = "42", cost: int = 1) -> Job:
        done = await self.store.enqueue(a_draft(user, cost=cost), allowance=BASE, caps=Caps())
        return done.job

    async def set_aside(self) -> Job:
        await self.ask()
        job = await self.store.claim(lease=60)
        assert job is not None
        return await self.store.hold(job.id, job.epoch, BROKEN)

    async def do(self, line: str, who: str = "discord") -> str:
        return (await self.admin.perform(line, BOSSES[who])).said()

    async def audit(self) -> list[admin_state.Audited]:
        return await self.store.look(lambda c, _: admin_state.audit(c, 100))

    async def left(self) -> int:
        return (await self.store.balance("discord:42", BASE)).left


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    clock = Clock()
    store = await Store.open(tmp_path, clock=clock)
    yield Office(store, clock)
    await store.close()


@pytest.mark.parametrize("verb", VERBS)
async def test_every_verb_says_the_same_everywhere_and_leaves_its_row(office: Office, verb: str) -> None:
    answers = set()
    for where in BOSSES:
        await office.store.pause(paused=False)
        held = await office.set_aside()
        waiting = await office.ask()
        report = await office.store.complain("report", person="discord:42", job=held.id)
        line = f"{verb} {EXAMPLES.get(verb, '')}".format(waiting=waiting.id, held=held.id, report=report)
        answer = await office.do(line, where)
        answers.add(answer.splitlines()[0].replace(f"#{waiting.id}", "#").replace(f"#{held.id}", "#"))
        rows = [row for row in await office.audit() if row.verb == verb and row.admin == f"{where}:1"]
        assert len(rows) == (0 if VERBS[verb].looks else 1)
    kinds = {"".join(c for c in answer if not c.isdigit()) for answer in answers}
    assert len(kinds) == 1


async def test_nobody_else_may_and_nothing_happens(office: Office) -> None:
    await office.ask()
    for verb in VERBS:
        with pytest.raises(NotAllowed):
            await office.admin.perform(verb, Requester(platform="discord", user="42"))
    assert await office.audit() == []


async def test_grants_and_resets_reach_the_balance(office: Office) -> None:
    await office.ask(cost=4)
    await office.do("quota grant 42 5")
    assert await office.left() == 11
    await office.do("quota reset @42")
    assert await office.left() == 15
    assert "0 of 10 used, 5 granted, 15 left" in await office.do("quota show <@42>")


async def test_what_is_set_for_one_person_stands(office: Office) -> None:
    await office.ask()
    await office.do("quota set 42 99")
    await office.do("quota tier 42 patron")
    standing = await office.store.standing("discord:42")
    assert (standing.credits, standing.tier) == (99, "patron")
    await office.do("quota tier 42 none")
    assert (await office.store.standing("discord:42")).tier is None


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
async def test_what_makes_no_sense_is_told_with_an_example(office: Office, line: str) -> None:
    await office.ask()
    with pytest.raises(BadArgument) as refusal:
        await office.do(line)
    assert refusal.value.usage in messages.explain(refusal.value)
    assert await office.audit() == []
    assert await office.left() == 9


async def test_unknown_people_models_tiers_and_verbs_are_told(office: Office) -> None:
    with pytest.raises(NoSuchPerson):
        await office.do("quota grant 777 5")
    with pytest.raises(UnknownChoice):
        await office.do("model disable wann")
    await office.ask()
    with pytest.raises(UnknownChoice):
        await office.do("quota tier 42 gold")
    with pytest.raises(UnknownVerb) as refusal:
        await office.do("qota show 42")
    assert refusal.value.near == "quota show"


async def test_moving_puts_a_job_exactly_there(office: Office) -> None:
    jobs = [await office.ask(user) for user in "abcd"]
    await office.do(f"queue move {jobs[3].id} front")
    assert [await office.store.place(job.id) for job in jobs] == [1, 2, 3, 0]
    await office.do(f"queue move {jobs[0].id} 2")
    assert [await office.store.place(job.id) for job in jobs] == [2, 1, 3, 0]
    await office.do(f"queue move {jobs[3].id} end")
    assert [await office.store.place(job.id) for job in jobs] == [1, 0, 2, 3]


async def test_a_job_that_has_started_is_not_moved(office: Office) -> None:
    job = await office.ask()
    await office.store.claim(lease=60)
    with pytest.raises(TooLate):
        await office.do(f"queue move {job.id} front")
    assert await office.audit() == []


async def test_cancelling_stops_the_engine_and_refunds(office: Office) -> None:
    job = await office.ask(cost=5)
    await office.store.claim(lease=60)
    await office.do(f"queue cancel {job.id}")
    assert office.stopped == [job.id]
    assert await office.left() == 10


async def test_a_cleared_line_is_refunded(office: Office) -> None:
    for _ in range(3):
        await office.ask(cost=2)
    other = await office.ask("7")
    assert "3 " in await office.do("queue clear 42")
    assert await office.left() == 10
    assert (await office.store.job(other.id)).state is State.QUEUED


async def test_a_block_ends_by_itself(office: Office) -> None:
    clock = Clock()
    await office.do("block 42 2h spam")
    key = "discord:42"
    assert (
        await office.store.database.read(lambda c: admin_state.block_of(c, key, clock.now + 7199)) is not None
    )
    assert await office.store.database.read(lambda c: admin_state.block_of(c, key, clock.now + 7201)) is None


async def test_rules_are_what_was_said_last(office: Office) -> None:
    for line in ("model disable wan", "model default ltx", "channel deny 9", "queue drain", "queue pause"):
        await office.do(line)
    rules = await office.store.rules()
    assert rules.disabled_models == frozenset({"wan"})
    assert (rules.closed, rules.default_model) == ("drain", "ltx")
    assert not rules.serves("discord:9")
    assert rules.serves("discord:8")
    assert await office.store.paused()
    for line in ("channel allow 9", "queue resume", "model enable wan"):
        await office.do(line)
    rules = await office.store.rules()
    assert (rules.closed, rules.disabled_models) == (None, frozenset())
    assert rules.serves("discord:9")
    assert not rules.serves("discord:8")


async def test_what_was_set_aside_goes_on_or_is_refunded(office: Office) -> None:
    first, second = await office.set_aside(), await office.set_aside()
    await office.store.complain("report", person="discord:7", job=first.id, words="odd")
    said = await office.do("review list")
    assert f"#{first.id}" in said
    assert "odd" in said
    await office.do(f"review release {first.id}")
    await office.do(f"review reject {second.id}")
    assert (await office.store.job(first.id)).state is State.QUEUED
    assert (await office.store.job(second.id)).state is State.FAILED
    assert await office.left() == 9


async def test_a_released_clip_is_sent_and_not_painted_again(office: Office) -> None:
    await office.ask()
    job = await office.store.claim(lease=60)
    assert job is not None
    await office.store.rendered(job.id, job.epoch, CLIP)
    await office.store.hold_clip(job.id, BROKEN)
    assert await office.store.undelivered() == []
    await office.do(f"review release {job.id}")
    assert [found.id for found in await office.store.undelivered()] == [job.id]


async def test_an_announcement_stands_for_a_day_or_until_the_next(office: Office) -> None:
    await office.do("announce We move house tonight.")
    assert await office.store.announcement() == "We move house tonight."
    await office.do("announce We moved.")
    assert await office.store.announcement() == "We moved."
    office.clock.now += 86_400
    assert await office.store.announcement() == ""
    await office.do("announce Hello")
    await office.do("announce stop")
    assert await office.store.announcement() == ""


async def test_an_announcement_carries_no_control_characters(office: Office) -> None:
    await office.do("announce over \u202ehere\x07 now")
    assert await office.store.announcement() == "over here now"


@pytest.mark.parametrize("sql", ["DELETE FROM audit", "UPDATE audit SET admin = 'nobody'"])
async def test_the_audit_log_never_changes(office: Office, sql: str) -> None:
    await office.do("queue pause")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        await office.store.act(lambda c, _: c.execute(sql).rowcount)
    assert "queue pause" in await office.do("audit")
