"""Credits are neither lost nor created, and ledger rows never change."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from bot.domain.errors import QuotaSpent, StoreFailed
from bot.domain.quota import Allowance, Caps
from bot.store.store import Access, Store
from generation import failpoint
from generation.errors import PictureFailed
from tests.bot.store.conftest import StoreHarness, write_rows
from tests.factories import make_draft

PICTURE_ERROR = PictureFailed("testcard", "black frames")
DAY = 86_400.0


async def test_a_price_above_the_balance_is_refused_and_charges_nothing(harness: StoreHarness) -> None:
    harness.allowance = Allowance(credits=5)
    await harness.ask(make_draft(cost=3))
    with pytest.raises(QuotaSpent) as refusal:
        await harness.ask(make_draft(cost=3))
    facts = refusal.value
    assert (facts.cost, facts.left, facts.limit, facts.back_at) == (3, 2, 5, harness.clock.now + DAY / 2)
    assert await harness.credits_left() == 2


async def test_credits_can_be_spent_to_zero_and_no_further(harness: StoreHarness) -> None:
    harness.allowance = Allowance(credits=5)
    for left in (4, 3, 2, 1, 0):
        await harness.ask()
        assert await harness.credits_left() == left
    with pytest.raises(QuotaSpent):
        await harness.ask()


async def test_window_is_spent_before_grants_and_both_are_refunded(harness: StoreHarness) -> None:
    harness.allowance = Allowance(credits=2)
    await harness.store.grant("discord:42", 10, note="welcome")
    job = await harness.ask(make_draft(cost=5))
    balance = await harness.store.balance("discord:42", harness.allowance)
    assert (balance.used, balance.granted, balance.left) == (2, 7, 7)
    await harness.store.cancel(job.id)
    balance = await harness.store.balance("discord:42", harness.allowance)
    assert (balance.used, balance.granted, balance.left) == (0, 10, 12)


async def test_spending_by_another_process_counts_at_once(harness: StoreHarness, tmp_path: Path) -> None:
    harness.allowance = Allowance(credits=5)
    await harness.ask(make_draft(cost=2))
    guest = await Store.open(tmp_path, Access.GUEST, clock=harness.clock, monotonic=harness.monotonic)
    for asker in (guest, harness.store, guest):
        await asker.enqueue(make_draft(), allowance=harness.allowance, caps=harness.caps)
    await guest.close()
    with pytest.raises(QuotaSpent):
        await harness.ask()
    assert await harness.credits_left() == 0


async def test_spending_by_another_process_counts_after_a_failed_commit(
    harness: StoreHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.allowance = Allowance(credits=5)
    await harness.ask()
    with monkeypatch.context() as patch:
        patch.setitem(
            failpoint.ARMED_POINTS, failpoint.FailPoint.COMMIT, failpoint.Armed(failpoint.Effect.FAIL)
        )
        with pytest.raises(StoreFailed):
            await harness.ask()
    guest = await Store.open(tmp_path, Access.GUEST, clock=harness.clock, monotonic=harness.monotonic)
    await guest.enqueue(make_draft(cost=4), allowance=harness.allowance, caps=harness.caps)
    await guest.close()
    with pytest.raises(QuotaSpent):
        await harness.ask()


async def test_refunded_credits_can_be_spent_at_once(harness: StoreHarness) -> None:
    harness.allowance = Allowance(credits=5)
    job = await harness.ask(make_draft(cost=5))
    await harness.store.cancel(job.id)
    await harness.ask(make_draft(cost=5))
    assert await harness.credits_left() == 0


async def test_a_new_day_brings_the_window_back_but_no_refund_from_yesterday(harness: StoreHarness) -> None:
    harness.allowance = Allowance(credits=5)
    job = await harness.ask(make_draft(cost=4))
    harness.clock.now += DAY
    await harness.ask(make_draft(cost=3))
    await harness.store.cancel(job.id)
    assert await harness.credits_left() == 2


async def test_midnight_is_that_of_the_set_time_zone(harness: StoreHarness) -> None:
    harness.allowance = Allowance(credits=5, zone="Pacific/Auckland")
    await harness.ask(make_draft(cost=4))
    turn = (await harness.store.balance("discord:42", harness.allowance)).back_at
    harness.clock.now = turn - 1
    assert await harness.credits_left() == 1
    harness.clock.now = turn
    assert await harness.credits_left() == 5


async def test_a_rolling_window_gives_back_as_time_passes(harness: StoreHarness) -> None:
    harness.allowance = Allowance(credits=5, rolling=DAY)
    await harness.ask(make_draft(cost=2))
    harness.clock.now += DAY / 2
    await harness.ask(make_draft(cost=3))
    assert await harness.credits_left() == 0
    harness.clock.now += DAY / 2 + 1
    assert await harness.credits_left() == 2


async def test_a_clock_that_jumps_back_gives_no_extra_credits(harness: StoreHarness) -> None:
    harness.allowance = Allowance(credits=5)
    job = await harness.ask(make_draft(cost=5))
    harness.clock.now -= 3600
    assert await harness.credits_left() == 0
    await harness.store.cancel(job.id)
    assert await harness.credits_left() == 5


async def test_yesterdays_spending_still_counts_when_the_clock_goes_back(harness: StoreHarness) -> None:
    harness.allowance = Allowance(credits=5)
    await harness.ask(make_draft(cost=4))
    harness.clock.now += DAY
    await harness.ask(make_draft(cost=2))
    harness.clock.now -= DAY
    with pytest.raises(QuotaSpent):
        await harness.ask(make_draft(cost=2))


async def test_a_server_pool_is_spent_after_own_credits(harness: StoreHarness) -> None:
    own, pool = Allowance(credits=2), Allowance(credits=10)
    done = await harness.store.enqueue(
        make_draft(cost=5, community="7"), allowance=own, pool=pool, caps=Caps()
    )
    assert (await harness.store.balance("discord:42", own)).left == 0
    assert (await harness.store.balance("pool:discord:7", pool)).left == 7
    with pytest.raises(QuotaSpent):
        await harness.store.enqueue(make_draft(cost=8, community="7"), allowance=own, pool=pool, caps=Caps())
    await harness.store.cancel(done.job.id)
    assert (await harness.store.balance("discord:42", own)).left == 2
    assert (await harness.store.balance("pool:discord:7", pool)).left == 10


async def test_unlimited_users_pay_nothing_but_use_is_recorded(harness: StoreHarness) -> None:
    harness.allowance = replace(harness.allowance, unlimited=True)
    await harness.ask(make_draft(cost=9999))
    assert await harness.credits_left() == 1000
    assert [
        (entry.kind, entry.purse, entry.credits) for entry in await harness.store.ledger_entries("discord:42")
    ] == [("reserve", "free", -9999)]


async def test_an_undelivered_clip_is_refunded_once(harness: StoreHarness) -> None:
    await harness.ask(make_draft(cost=5))
    job = await harness.render()
    assert await harness.credits_left() == 995
    await harness.store.mark_undeliverable(job.id, PICTURE_ERROR)
    assert await harness.credits_left() == 1000
    kinds = [entry.kind for entry in await harness.store.ledger_entries("discord:42")]
    assert kinds == ["refund", "settle", "reserve"]


async def test_a_clip_paid_from_two_accounts_is_settled_by_one_visible_row(harness: StoreHarness) -> None:
    own, pool = Allowance(credits=2), Allowance(credits=10)
    done = await harness.store.enqueue(
        make_draft(cost=5, community="7"), allowance=own, pool=pool, caps=Caps()
    )
    await harness.render()
    entries = await harness.store.ledger_entries("discord:42")
    assert [(entry.kind, entry.credits, entry.job) for entry in entries] == [
        ("settle", 0, done.number),
        ("reserve", -2, done.number),
    ]
    assert [entry.credits for entry in await harness.store.ledger_entries("pool:discord:7")] == [-3]
    assert len(await harness.store.ledger_entries("discord:42", limit=1)) == 1


@pytest.mark.parametrize("sql", ["UPDATE ledger SET credits = 0", "DELETE FROM ledger"])
async def test_rows_of_the_ledger_never_change(harness: StoreHarness, sql: str) -> None:
    await harness.ask()
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        await write_rows(harness.store, lambda c: c.execute(sql).rowcount)


@pytest.mark.parametrize("kind", ["settle", "refund"])
async def test_a_second_settlement_or_refund_is_impossible(harness: StoreHarness, kind: str) -> None:
    await harness.ask()
    sql = (
        "INSERT INTO ledger (at, counted_at, account, kind, purse, credits, job)"
        " SELECT at, counted_at, account, ?, purse, 0, job FROM ledger WHERE kind = 'reserve'"
    )
    await write_rows(harness.store, lambda c: c.execute(sql, (kind,)).rowcount)
    with pytest.raises(sqlite3.IntegrityError):
        await write_rows(harness.store, lambda c: c.execute(sql, (kind,)).rowcount)
