"""Credits where clocks, numbers and crowds are at their worst: the books stay true."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from msgspec import structs

from bot.admin.admin import Admin
from bot.domain.errors import BadArgument, QuotaSpent, TooLate
from bot.domain.jobs import Job, ReplyTo, Requester
from bot.domain.quota import Allowance, Caps, Plan, Tier
from bot.maintenance.retention import Sweeper
from bot.moderation.prompt_policy import Policy
from bot.store import admin_state, spending
from bot.store.store import Enqueued, Store
from bot.studio.admission import Gate
from generation.request import Wish
from tests.bot.admin.test_admin import BOSSES
from tests.bot.store.conftest import CLIP, NOON, Clock, a_draft

DAY = 86_400.0
PATRON = Tier(name="patron", credits=4)
STAFF = Tier(name="staff", unlimited=True)
PLAN = Plan(base=Allowance(credits=2), tiers=(STAFF, PATRON), pools={"discord:7": 3})
FOX, HERE = Wish(prompt="a fox"), ReplyTo(platform="discord", chat="9")


@dataclass
class Bank:
    store: Store
    clock: Clock
    gate: Gate
    admin: Admin

    async def ask(self, requester: Requester, cost: int = 1) -> Enqueued:
        terms = await self.gate.admit(FOX, requester, HERE)
        draft = replace(a_draft(requester.user, cost=cost), requester=requester)
        return await self.store.enqueue(draft, allowance=terms.allowance, pool=terms.pool, caps=Caps())

    async def do(self, line: str) -> str:
        return (await self.admin.perform(line, BOSSES["discord"])).said()

    async def sums(self) -> int:
        return await self.store.look(lambda c, _: c.execute("SELECT sum(credits) FROM ledger").fetchone()[0])


@pytest.fixture
async def bank(tmp_path: Path) -> AsyncIterator[Bank]:
    clock = Clock()
    store = await Store.open(tmp_path, clock=clock)
    admin = Admin(store=store, plan=PLAN, models=("testcard",))
    yield Bank(store, clock, Gate(store=store, policy=Policy(), plan=PLAN), admin)
    await store.close()


def someone(user: str, **facts: object) -> Requester:
    return structs.replace(Requester(platform="discord", user=user), **facts)


async def test_of_fifty_people_who_want_the_pools_last_credit_exactly_one_gets_it(bank: Bank) -> None:
    crowd = [someone(f"{number}", community="7") for number in range(50)]
    for person in crowd:
        await bank.ask(person, cost=2)  # what is their own
    await bank.ask(crowd[0], cost=2)
    answers = await asyncio.gather(*(bank.ask(person) for person in crowd), return_exceptions=True)
    assert sum(isinstance(answer, Enqueued) for answer in answers) == 1
    assert sum(isinstance(answer, QuotaSpent) for answer in answers) == 49
    assert await bank.sums() == -(50 * 2 + 3)


async def test_a_clip_is_paid_from_the_window_then_the_grant_then_the_pool_and_goes_back_there(
    bank: Bank,
) -> None:
    ana = someone("42", community="7", roles=("5",))
    await bank.do("quota role discord:5 patron")
    await bank.ask(ana, cost=1)
    await bank.do("quota grant 42 2")
    made = await bank.ask(ana, cost=7)  # three of the tier's four, two granted, two of the pool's three
    entries = await bank.store.entries("discord:42")
    taken = {entry.purse: entry.credits for entry in entries if entry.job == made.job.id}
    assert taken == {"window": -3, "granted": -2}
    (shared,) = await bank.store.entries("pool:discord:7")
    assert shared.credits == -2
    await bank.store.cancel(made.job.id)
    assert await bank.sums() == 2 - 1
    assert "1 of 4 used, 2 granted, 5 left" in await bank.do("quota show 42")
    assert "0 of 3 used" in await bank.do("quota show pool:discord:7")


async def test_the_unlimited_pay_nothing_and_what_they_used_is_told(bank: Bank) -> None:
    boss = someone("1", admin=True)
    made = [await bank.ask(boss, cost=30) for _ in range(3)]
    await bank.store.cancel(made[0].job.id)
    said = await bank.do("quota show 1")
    assert "60 used, no limit" in said
    terms = await bank.gate.terms(boss)
    used = await bank.store.look(lambda c, now: spending.in_window(c, boss.key, terms.allowance, now))
    assert used == 60


async def test_a_role_is_worth_its_tier_until_an_admin_says_otherwise(bank: Bank) -> None:
    ana = someone("42", roles=("5", "6"))
    assert (await bank.gate.terms(ana)).allowance.credits == 2
    await bank.do("quota role <@&6> patron")
    assert (await bank.gate.terms(ana)).allowance.credits == 4
    await bank.do("quota role discord:5 staff")
    assert (await bank.gate.terms(ana)).allowance.unlimited
    await bank.ask(ana)
    assert "(staff)" in await bank.do("quota show 42")
    await bank.do("quota role 5 none")
    await bank.do("quota role 6 none")
    assert (await bank.gate.terms(ana)).allowance.credits == 2


@pytest.mark.parametrize(
    "number",
    [
        "nan",
        "inf",
        "-1",
        "+5",
        "1_000",
        "1e3",
        "0x10",
        "5.0",
        "٣",
        "\uff11\uff12",
        "²",
        "∞",
        "9" * 30,
        "1000001",
        "''",
        "0",
    ],
)
async def test_a_number_that_is_none_changes_nothing(bank: Bank, number: str) -> None:
    await bank.ask(someone("42"))
    for line in (f"quota grant 42 {number}", f"queue cancel {number}", f"review close {number}"):
        if number == "1000001" and not line.startswith("quota"):
            continue
        with pytest.raises(BadArgument):
            await bank.do(line)
    assert await bank.sums() == -1
    assert await bank.store.look(lambda c, _: admin_state.audit(c, 9)) == []


async def test_a_block_without_an_end_may_have_a_reason_at_once(bank: Bank) -> None:
    await bank.do("block 42 being rude")
    block = (await bank.store.standing("discord:42")).block
    assert block is not None
    assert (block.until, block.reason) == (None, "being rude")
    with pytest.raises(BadArgument):
        await bank.do("block 42 2x spam")


@pytest.mark.parametrize("jump", [-400 * DAY, -DAY, -3600, 3600, DAY, 31 * DAY, 400 * DAY])
async def test_a_clock_that_jumps_and_comes_back_gives_nothing_twice(bank: Bank, jump: float) -> None:
    ana = someone("42")
    await bank.ask(ana, cost=2)
    bank.clock.now += jump
    there = await asyncio.gather(*(bank.ask(ana) for _ in range(5)), return_exceptions=True)
    bank.clock.now = NOON
    with pytest.raises(QuotaSpent):
        await bank.ask(ana)
    bank.clock.now = NOON + jump
    if sum(isinstance(answer, Enqueued) for answer in there) == 2:
        with pytest.raises(QuotaSpent):
            await bank.ask(ana)
    taken = sum(isinstance(answer, Enqueued) for answer in there)
    assert await bank.sums() == -2 - taken


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("America/Havana", (2026, 11, 1)),  # one o'clock becomes midnight: there are two of them
        ("Africa/Cairo", (2026, 4, 24)),  # midnight becomes one o'clock: there is none
        ("Europe/Berlin", (2026, 10, 25)),
        ("America/New_York", (2027, 3, 14)),
        ("Pacific/Apia", (2011, 12, 29)),  # the day after was left out
        ("Asia/Kathmandu", (2027, 2, 28)),
        ("UTC", (2028, 2, 29)),
        ("UTC", (2026, 12, 31)),
    ],
)
def test_every_day_has_one_window_whatever_its_clocks_do(zone: str, day: tuple[int, int, int]) -> None:
    allowance = Allowance(credits=1, zone=zone)
    first = datetime(*day, tzinfo=ZoneInfo(zone)).timestamp()
    start, back = allowance.window(first + 7200)
    assert start <= first + 3600
    now = start
    while now < back:
        assert allowance.window(now) == (start, back), datetime.fromtimestamp(now, ZoneInfo(zone))
        now += 600
    assert allowance.window(back)[0] == back


async def test_a_painted_clip_that_was_set_aside_is_decided_and_not_cancelled(bank: Bank) -> None:
    await bank.ask(someone("42"))
    job = await bank.store.claim(lease=60)
    assert isinstance(job, Job)
    await bank.store.rendered(job.id, job.epoch, CLIP)
    await bank.store.hold_clip(job.id, TooLate(job.id, "held"))
    with pytest.raises(TooLate):
        await bank.do(f"queue cancel {job.id}")
    await bank.do(f"review reject {job.id}")
    assert await bank.sums() == 0


async def test_strikes_fade_though_clips_are_kept_for_ever_and_stay_though_they_are_not(
    bank: Bank, tmp_path: Path
) -> None:
    async def strikes() -> int:
        return await bank.store.look(lambda c, _: c.execute("SELECT count(*) FROM strike").fetchone()[0])

    await bank.store.strike("discord:42", "safety", wait=lambda _: 600.0)
    bank.clock.now += 29 * DAY
    await Sweeper(store=bank.store, clips=tmp_path / "clips", keep_days=1, clock=bank.clock).sweep()
    assert await strikes() == 1
    bank.clock.now += 2 * DAY
    await Sweeper(store=bank.store, clips=tmp_path / "clips", keep_days=0, clock=bank.clock).sweep()
    assert await strikes() == 0
