"""Credits: nothing is lost, nothing is made, and no row ever changes."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from bot.domain.errors import QuotaSpent, StoreFailed
from bot.domain.quota import Allowance, Caps
from bot.store.store import Access, Store
from generation import failpoint
from generation.errors import PaintFailed
from tests.bot.store.conftest import Desk, a_draft

BROKEN = PaintFailed("testcard", "black frames")
DAY = 86_400.0


async def test_a_price_above_what_is_left_names_the_facts_and_takes_nothing(desk: Desk) -> None:
    desk.allowance = Allowance(credits=5)
    await desk.ask(a_draft(cost=3))
    with pytest.raises(QuotaSpent) as refusal:
        await desk.ask(a_draft(cost=3))
    facts = refusal.value
    assert (facts.cost, facts.left, facts.limit, facts.back_at) == (3, 2, 5, desk.clock.now + DAY / 2)
    assert await desk.left() == 2


async def test_as_many_wishes_as_there_are_credits_and_not_one_more(desk: Desk) -> None:
    desk.allowance = Allowance(credits=5)
    for left in (4, 3, 2, 1, 0):
        await desk.ask()
        assert await desk.left() == left
    with pytest.raises(QuotaSpent):
        await desk.ask()


async def test_the_window_is_spent_before_the_grant_and_both_come_back(desk: Desk) -> None:
    desk.allowance = Allowance(credits=2)
    await desk.store.grant("discord:42", 10, note="welcome")
    job = await desk.ask(a_draft(cost=5))
    balance = await desk.store.balance("discord:42", desk.allowance)
    assert (balance.used, balance.granted, balance.left) == (2, 7, 7)
    await desk.store.cancel(job.id)
    balance = await desk.store.balance("discord:42", desk.allowance)
    assert (balance.used, balance.granted, balance.left) == (0, 10, 12)


async def test_what_another_process_spends_is_gone_at_once(desk: Desk, tmp_path: Path) -> None:
    desk.allowance = Allowance(credits=5)
    await desk.ask(a_draft(cost=2))
    guest = await Store.open(tmp_path, Access.GUEST, clock=desk.clock, steady=desk.steady)
    for asker in (guest, desk.store, guest):
        await asker.enqueue(a_draft(), allowance=desk.allowance, caps=desk.caps)
    await guest.close()
    with pytest.raises(QuotaSpent):
        await desk.ask()
    assert await desk.left() == 0


async def test_what_another_process_spends_in_place_of_a_lost_wish_is_gone_too(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.allowance = Allowance(credits=5)
    await desk.ask()
    with monkeypatch.context() as ill:
        ill.setitem(failpoint.ARMED, failpoint.Place.COMMIT, failpoint.Trap(failpoint.Deed.FAIL))
        with pytest.raises(StoreFailed):
            await desk.ask()
    guest = await Store.open(tmp_path, Access.GUEST, clock=desk.clock, steady=desk.steady)
    await guest.enqueue(a_draft(cost=4), allowance=desk.allowance, caps=desk.caps)
    await guest.close()
    with pytest.raises(QuotaSpent):
        await desk.ask()


async def test_what_came_back_can_be_spent_at_once(desk: Desk) -> None:
    desk.allowance = Allowance(credits=5)
    job = await desk.ask(a_draft(cost=5))
    await desk.store.cancel(job.id)
    await desk.ask(a_draft(cost=5))
    assert await desk.left() == 0


async def test_a_new_day_brings_the_window_back_but_no_refund_from_yesterday(desk: Desk) -> None:
    desk.allowance = Allowance(credits=5)
    job = await desk.ask(a_draft(cost=4))
    desk.clock.now += DAY
    await desk.ask(a_draft(cost=3))
    await desk.store.cancel(job.id)
    assert await desk.left() == 2


async def test_midnight_is_that_of_the_set_time_zone(desk: Desk) -> None:
    desk.allowance = Allowance(credits=5, zone="Pacific/Auckland")
    await desk.ask(a_draft(cost=4))
    turn = (await desk.store.balance("discord:42", desk.allowance)).back_at
    desk.clock.now = turn - 1
    assert await desk.left() == 1
    desk.clock.now = turn
    assert await desk.left() == 5


async def test_a_rolling_window_gives_back_as_time_passes(desk: Desk) -> None:
    desk.allowance = Allowance(credits=5, rolling=DAY)
    await desk.ask(a_draft(cost=2))
    desk.clock.now += DAY / 2
    await desk.ask(a_draft(cost=3))
    assert await desk.left() == 0
    desk.clock.now += DAY / 2 + 1
    assert await desk.left() == 2


async def test_a_clock_that_jumps_back_gives_no_second_helping(desk: Desk) -> None:
    desk.allowance = Allowance(credits=5)
    job = await desk.ask(a_draft(cost=5))
    desk.clock.now -= 3600
    assert await desk.left() == 0
    await desk.store.cancel(job.id)
    assert await desk.left() == 5


async def test_yesterday_is_as_spent_as_it_was_when_the_clock_goes_back_to_it(desk: Desk) -> None:
    desk.allowance = Allowance(credits=5)
    await desk.ask(a_draft(cost=4))
    desk.clock.now += DAY
    await desk.ask(a_draft(cost=2))
    desk.clock.now -= DAY
    with pytest.raises(QuotaSpent):
        await desk.ask(a_draft(cost=2))


async def test_a_servers_pool_is_spent_after_ones_own(desk: Desk) -> None:
    own, pool = Allowance(credits=2), Allowance(credits=10)
    done = await desk.store.enqueue(a_draft(cost=5, community="7"), allowance=own, pool=pool, caps=Caps())
    assert (await desk.store.balance("discord:42", own)).left == 0
    assert (await desk.store.balance("pool:discord:7", pool)).left == 7
    with pytest.raises(QuotaSpent):
        await desk.store.enqueue(a_draft(cost=8, community="7"), allowance=own, pool=pool, caps=Caps())
    await desk.store.cancel(done.job.id)
    assert (await desk.store.balance("discord:42", own)).left == 2
    assert (await desk.store.balance("pool:discord:7", pool)).left == 10


async def test_the_unlimited_pay_nothing_and_it_is_written_down(desk: Desk) -> None:
    desk.allowance = replace(desk.allowance, unlimited=True)
    await desk.ask(a_draft(cost=9999))
    assert await desk.left() == 1000
    assert [(entry.kind, entry.purse, entry.credits) for entry in await desk.store.entries("discord:42")] == [
        ("reserve", "free", -9999)
    ]


async def test_a_clip_that_nobody_got_is_refunded_once(desk: Desk) -> None:
    await desk.ask(a_draft(cost=5))
    job = await desk.render()
    assert await desk.left() == 995
    await desk.store.delivery_failed(job.id, BROKEN)
    assert await desk.left() == 1000
    kinds = [entry.kind for entry in await desk.store.entries("discord:42")]
    assert kinds == ["refund", "settle", "reserve"]


async def test_a_clip_out_of_two_purses_is_settled_by_one_row_that_its_asker_can_read(desk: Desk) -> None:
    own, pool = Allowance(credits=2), Allowance(credits=10)
    done = await desk.store.enqueue(a_draft(cost=5, community="7"), allowance=own, pool=pool, caps=Caps())
    await desk.render()
    entries = await desk.store.entries("discord:42")
    assert [(entry.kind, entry.credits, entry.job) for entry in entries] == [
        ("settle", 0, done.number),
        ("reserve", -2, done.number),
    ]
    assert [entry.credits for entry in await desk.store.entries("pool:discord:7")] == [-3]
    assert len(await desk.store.entries("discord:42", limit=1)) == 1


@pytest.mark.parametrize("sql", ["UPDATE ledger SET credits = 0", "DELETE FROM ledger"])
async def test_rows_of_the_ledger_never_change(desk: Desk, sql: str) -> None:
    await desk.ask()
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        await desk.store.database.write(lambda c: c.execute(sql).rowcount)


@pytest.mark.parametrize("kind", ["settle", "refund"])
async def test_a_second_settlement_or_refund_is_impossible(desk: Desk, kind: str) -> None:
    await desk.ask()
    sql = (
        "INSERT INTO ledger (at, counted_at, account, kind, purse, credits, job)"
        " SELECT at, counted_at, account, ?, purse, 0, job FROM ledger WHERE kind = 'reserve'"
    )
    await desk.store.database.write(lambda c: c.execute(sql, (kind,)).rowcount)
    with pytest.raises(sqlite3.IntegrityError):
        await desk.store.database.write(lambda c: c.execute(sql, (kind,)).rowcount)
