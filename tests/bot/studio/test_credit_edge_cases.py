"""Credits under clock changes, extreme numbers and concurrent requests: the ledger stays correct."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from bot.admin.admin import AdminCommands
from bot.domain.errors import BadArgument, QuotaSpent, TooLate
from bot.domain.jobs import Job, Requester
from bot.domain.quota import Allowance, Caps, QuotaPlan, Tier
from bot.maintenance.retention import RetentionSweeper
from bot.moderation.prompt_policy import PromptPolicy
from bot.store.store import Enqueued, Store
from bot.studio.access import AccessControl, Viewer
from generation.request import Wish
from tests.bot.admin.test_admin import ADMINS, PLATFORMS
from tests.bot.store.conftest import CLIP, NOON, Clock, read_rows
from tests.factories import make_draft, make_requester

DAY = 86_400.0
PATRON = Tier(name="patron", credits=4)
STAFF = Tier(name="staff", unlimited=True)
PLAN = QuotaPlan(base=Allowance(credits=2), tiers=(STAFF, PATRON), pools={"discord:7": 3})
discord_user = partial(make_requester, platform="discord")
FOX = Wish(prompt="a fox")
in_server = partial(Viewer, chat="9")


@dataclass
class CreditsHarness:
    store: Store
    clock: Clock
    access: AccessControl
    admin: AdminCommands

    async def ask(self, requester: Requester, cost: int = 1) -> Enqueued:
        terms = await self.access.admit(FOX, in_server(requester=requester))
        draft = replace(make_draft(requester.user, cost=cost), requester=requester)
        return await self.store.enqueue(draft, allowance=terms.allowance, pool=terms.pool, caps=Caps())

    async def perform(self, line: str) -> str:
        return (await self.admin.perform(line, ADMINS["discord"])).to_text()

    async def ledger_sum(self) -> int:
        return await read_rows(
            self.store, lambda c: c.execute("SELECT sum(credits) FROM ledger").fetchone()[0]
        )


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[CreditsHarness]:
    clock = Clock()
    store = await Store.open(tmp_path, clock=clock)
    admin = AdminCommands(store=store, quota_plan=PLAN, models=("testcard",), platforms=PLATFORMS)
    yield CreditsHarness(
        store, clock, AccessControl(store=store, prompt_policy=PromptPolicy(), quota_plan=PLAN), admin
    )
    await store.close()


async def test_fifty_concurrent_requests_spend_the_pools_last_credit_once(harness: CreditsHarness) -> None:
    crowd = [discord_user(f"{number}", community="7") for number in range(50)]
    for person in crowd:
        await harness.ask(person, cost=2)  # their own allowance
    await harness.ask(crowd[0], cost=2)
    answers = await asyncio.gather(*(harness.ask(person) for person in crowd), return_exceptions=True)
    assert sum(isinstance(answer, Enqueued) for answer in answers) == 1
    assert sum(isinstance(answer, QuotaSpent) for answer in answers) == 49
    assert await harness.ledger_sum() == -(50 * 2 + 3)


async def test_a_clip_is_paid_from_window_grant_and_pool_and_refunded_there(
    harness: CreditsHarness,
) -> None:
    ana = discord_user("42", community="7", roles=("5",))
    await harness.perform("quota role discord:5 patron")
    await harness.ask(ana, cost=1)
    await harness.perform("quota grant 42 2")
    made = await harness.ask(
        ana, cost=7
    )  # three of the four of the tier, two granted, two of the three of the pool
    entries = await harness.store.ledger_entries("discord:42")
    taken = {entry.purse: entry.credits for entry in entries if entry.job == made.job.id}
    assert taken == {"window": -3, "granted": -2}
    (shared,) = await harness.store.ledger_entries("pool:discord:7")
    assert shared.credits == -2
    await harness.store.cancel(made.job.id)
    assert await harness.ledger_sum() == 2 - 1
    assert "1 of 4 used, 2 granted, 5 left" in await harness.perform("quota show 42")
    assert "0 of 3 used" in await harness.perform("quota show pool:discord:7")


async def test_unlimited_users_pay_nothing_and_see_what_they_used(harness: CreditsHarness) -> None:
    boss = discord_user("1", admin=True)
    made = [await harness.ask(boss, cost=30) for _ in range(3)]
    await harness.store.cancel(made[0].job.id)
    answer = await harness.perform("quota show 1")
    assert "60 used, no limit" in answer
    terms = await harness.access.terms_for(in_server(requester=boss))
    used = await harness.store.used_in_window(boss.key, terms.allowance)
    assert used == 60


async def test_a_role_gives_its_tier_until_an_admin_changes_it(harness: CreditsHarness) -> None:
    ana = discord_user("42", roles=("5", "6"))
    assert (await harness.access.terms_for(in_server(requester=ana))).allowance.credits == 2
    await harness.perform("quota role <@&6> patron")
    assert (await harness.access.terms_for(in_server(requester=ana))).allowance.credits == 4
    await harness.perform("quota role discord:5 staff")
    assert (await harness.access.terms_for(in_server(requester=ana))).allowance.unlimited
    await harness.ask(ana)
    assert "(staff)" in await harness.perform("quota show 42")
    await harness.perform("quota role 5 none")
    await harness.perform("quota role 6 none")
    assert (await harness.access.terms_for(in_server(requester=ana))).allowance.credits == 2


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
async def test_an_invalid_number_changes_nothing(harness: CreditsHarness, number: str) -> None:
    await harness.ask(discord_user("42"))
    for line in (f"quota grant 42 {number}", f"queue cancel {number}", f"review close {number}"):
        if number == "1000001" and not line.startswith("quota"):
            continue
        with pytest.raises(BadArgument):
            await harness.perform(line)
    assert await harness.ledger_sum() == -1
    assert await harness.store.audit_entries(9) == []


async def test_a_block_without_an_end_may_have_a_reason(harness: CreditsHarness) -> None:
    await harness.perform("block 42 being rude")
    block = (await harness.store.standing("discord:42")).block
    assert block is not None
    assert (block.until, block.reason) == (None, "being rude")
    with pytest.raises(BadArgument):
        await harness.perform("block 42 2x spam")


@pytest.mark.parametrize("jump", [-400 * DAY, -DAY, -3600, 3600, DAY, 31 * DAY, 400 * DAY])
async def test_a_clock_that_jumps_and_comes_back_gives_nothing_twice(
    harness: CreditsHarness, jump: float
) -> None:
    ana = discord_user("42")
    await harness.ask(ana, cost=2)
    harness.clock.now += jump
    after_jump = await asyncio.gather(*(harness.ask(ana) for _ in range(5)), return_exceptions=True)
    harness.clock.now = NOON
    with pytest.raises(QuotaSpent):
        await harness.ask(ana)
    harness.clock.now = NOON + jump
    if sum(isinstance(answer, Enqueued) for answer in after_jump) == 2:
        with pytest.raises(QuotaSpent):
            await harness.ask(ana)
    taken = sum(isinstance(answer, Enqueued) for answer in after_jump)
    assert await harness.ledger_sum() == -2 - taken


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("America/Havana", (2026, 11, 1)),  # one o'clock becomes midnight: midnight occurs twice
        ("Africa/Cairo", (2026, 4, 24)),  # midnight becomes one o'clock: there is no midnight
        ("Europe/Berlin", (2026, 10, 25)),
        ("America/New_York", (2027, 3, 14)),
        ("Pacific/Apia", (2011, 12, 29)),  # the next day was skipped
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


async def test_a_held_clip_is_reviewed_and_not_cancelled(harness: CreditsHarness) -> None:
    await harness.ask(discord_user("42"))
    job = await harness.store.claim(lease=60)
    assert isinstance(job, Job)
    await harness.store.mark_rendered(job.id, job.epoch, CLIP)
    await harness.store.hold_clip(job.id, TooLate(job.id, "held"))
    with pytest.raises(TooLate):
        await harness.perform(f"queue cancel {job.id}")
    await harness.perform(f"review reject {job.id}")
    assert await harness.ledger_sum() == 0


async def test_strikes_expire_independently_of_clip_retention(
    harness: CreditsHarness, tmp_path: Path
) -> None:
    async def strikes() -> int:
        return await read_rows(
            harness.store, lambda c: c.execute("SELECT count(*) FROM strike").fetchone()[0]
        )

    await harness.store.add_strike("discord:42", "safety", timeout_for=lambda _: 600.0)
    harness.clock.now += 29 * DAY
    await RetentionSweeper(
        store=harness.store, clips=tmp_path / "clips", keep_days=1, clock=harness.clock
    ).sweep()
    assert await strikes() == 1
    harness.clock.now += 2 * DAY
    await RetentionSweeper(
        store=harness.store, clips=tmp_path / "clips", keep_days=0, clock=harness.clock
    ).sweep()
    assert await strikes() == 0
