"""Refunds withdraw credits first; payments follow a link and come back; a block holds for linked users."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from bot.domain.errors import AlreadyLinked, InvalidLinkCode, NoSuchPayment, QuotaSpent
from bot.domain.quota import Allowance
from bot.moderation.prompt_policy import strike_timeout
from bot.store import links
from bot.store.connection import Connection
from bot.store.migrate import load_migrations, migrate
from bot.store.store import LinkSide, Payment
from tests.bot.store.conftest import StoreHarness
from tests.factories import link_users, make_draft

ADA, ANA = "telegram:5", "discord:42"


async def buy(harness: StoreHarness, key: str, credits_: int, name: str = "telegram:charge") -> Payment:
    assert await harness.store.record_purchase(key, credits_, payment=name)
    return next(payment for payment in await harness.store.payments_of(key) if payment.name == name)


async def granted(harness: StoreHarness, key: str) -> int:
    return (await harness.store.balance(key, Allowance(credits=0))).granted


async def test_two_refunds_at_once_cannot_take_the_same_credits(harness: StoreHarness) -> None:
    harness.allowance = Allowance(credits=0)
    first, second = [await buy(harness, ANA, 10, f"discord:{number}") for number in range(2)]
    await harness.ask(make_draft(cost=10))
    both = await asyncio.gather(
        *(harness.store.begin_own_refund(ANA, payment.id) for payment in (first, second)),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, NoSuchPayment) for outcome in both) == 1
    assert await granted(harness, ANA) == 0


async def test_no_clip_is_bought_with_credits_whose_refund_is_under_way(harness: StoreHarness) -> None:
    harness.allowance = Allowance(credits=0)
    payment = await buy(harness, ANA, 10)
    await harness.store.begin_own_refund(ANA, payment.id)
    with pytest.raises(QuotaSpent):
        await harness.ask(make_draft(cost=1))
    await harness.store.cancel_refund(payment.id)
    await harness.store.cancel_refund(payment.id)
    assert await granted(harness, ANA) == 10, "a refused refund is booked back once"
    await harness.store.begin_own_refund(ANA, payment.id)
    await harness.store.finish_refund(payment.id)
    await harness.store.cancel_refund(payment.id)
    assert await granted(harness, ANA) == 0
    assert await harness.store.payments_of(ANA) == []


async def test_others_cannot_refund_a_payment(harness: StoreHarness) -> None:
    payment = await buy(harness, ANA, 10)
    with pytest.raises(NoSuchPayment):
        await harness.store.begin_own_refund("discord:7", payment.id)


async def test_a_refund_after_a_link_takes_the_credits_of_the_joined_account(harness: StoreHarness) -> None:
    payment = await buy(harness, ADA, 30)
    await link_users(harness.store, ANA, ADA)
    assert await granted(harness, ANA) == 30
    assert (await harness.store.payments_of(ANA))[0].payers == (ADA,)
    assert await harness.store.reverse_purchase(payment.name) == 30
    assert await granted(harness, ANA) == 0


async def test_unlinking_returns_history_payments_and_unspent_credits(harness: StoreHarness) -> None:
    harness.allowance = Allowance(credits=0)
    await harness.store.grant(ANA, 5)
    payment = await buy(harness, ADA, 30)
    await link_users(harness.store, ANA, ADA)
    await buy(harness, ADA, 8, "telegram:second")
    mine = await harness.ask(make_draft("5", platform="telegram", cost=10))
    await harness.ask(make_draft("42", cost=3))
    assert await harness.store.unlink(ANA) == [ADA]
    assert (await granted(harness, ADA), await granted(harness, ANA)) == (28, 2)
    assert [job.id for job in await harness.store.history(ADA)] == [mine.id]
    assert {found.name for found in await harness.store.payments_of(ADA)} == {payment.name, "telegram:second"}
    assert await harness.store.payments_of(ANA) == []
    await harness.store.cancel(mine.id)
    assert (await granted(harness, ADA), await granted(harness, ANA)) == (38, 2)
    assert await harness.store.unlink(ANA) == []


async def test_linking_again_refills_no_window(harness: StoreHarness) -> None:
    for user, platform in (("5", "telegram"), ("42", "discord")):
        await harness.ask(make_draft(user, platform=platform, cost=100))
    for _ in range(3):
        await link_users(harness.store, ANA, ADA)
        await harness.store.unlink(ADA)
    assert await harness.credits_left(ADA) == await harness.credits_left(ANA) == 900


async def test_a_job_refund_follows_its_user_into_the_joined_account(harness: StoreHarness) -> None:
    harness.allowance = Allowance(credits=0)
    await buy(harness, ADA, 30)
    job = await harness.ask(make_draft("5", platform="telegram", cost=30))
    await link_users(harness.store, ANA, ADA)
    await harness.store.cancel(job.id)
    assert await granted(harness, ADA) == await granted(harness, ANA) == 30


async def test_a_job_refund_pays_first_for_a_refunded_payment(harness: StoreHarness) -> None:
    harness.allowance = Allowance(credits=0)
    payment = await buy(harness, ANA, 10)
    job = await harness.ask(make_draft(cost=4))
    assert await harness.store.reverse_purchase(payment.name) == 6
    await harness.store.cancel(job.id)
    assert await granted(harness, ANA) == 0, "the money for these credits was returned"


async def test_deleting_data_ends_the_link(harness: StoreHarness) -> None:
    await buy(harness, ADA, 30)
    await harness.ask()
    await link_users(harness.store, ANA, ADA)
    await harness.store.delete_personal_data(ADA)
    assert await harness.store.linked_keys(ANA) == [ANA]
    await harness.ask(make_draft("5", platform="telegram"))
    assert await harness.store.linked_keys(ANA) == [ANA], "a user who returns is not linked again"
    assert (await granted(harness, ADA), await granted(harness, ANA)) == (30, 0)


async def test_only_the_two_sides_answer_a_link_request(harness: StoreHarness) -> None:
    code = await harness.store.create_link_code(LinkSide(ANA, "Ana", "en"))
    request = await harness.store.request_link(LinkSide(ADA, "Ada", "en"), code)
    for key, number in (("discord:7", request.id), (ANA, request.id + 1)):
        with pytest.raises(InvalidLinkCode):
            await harness.store.answer_link_request(key, number, agree=True)
    await harness.store.answer_link_request(ADA, request.id, agree=True)
    await harness.store.answer_link_request(ANA, request.id, agree=False)
    with pytest.raises(InvalidLinkCode):
        await harness.store.answer_link_request(ANA, request.id, agree=True)
    assert await harness.store.linked_keys(ANA) == [ANA]


async def test_a_link_request_expires(harness: StoreHarness) -> None:
    code = await harness.store.create_link_code(LinkSide(ANA, "Ana", "en"))
    request = await harness.store.request_link(LinkSide(ADA, "Ada", "en"), code)
    harness.clock.now += links.CODE_SECONDS + 1
    with pytest.raises(InvalidLinkCode):
        await harness.store.answer_link_request(ANA, request.id, agree=True)


async def test_a_guest_of_an_account_links_nobody_else_to_it(harness: StoreHarness) -> None:
    await link_users(harness.store, ANA, ADA)
    with pytest.raises(AlreadyLinked):
        await harness.store.create_link_code(LinkSide(ADA, "Ada", "en"))
    code = await harness.store.create_link_code(LinkSide("discord:7", "Eve", "en"))
    with pytest.raises(AlreadyLinked):
        await harness.store.request_link(LinkSide(ANA, "Ana", "en"), code)


async def test_a_block_holds_for_linked_users_and_after_an_unlink(harness: StoreHarness) -> None:
    await link_users(harness.store, ANA, ADA)
    await harness.store.run_admin(lambda t: t.block(ANA, until=None, reason="spam"), read_only=False)
    assert (await harness.store.standing(ADA)).block is not None
    await harness.store.unlink(ADA)
    assert (await harness.store.standing(ADA)).block is not None
    assert (await harness.store.standing(ANA)).block is not None


async def test_unblocking_frees_all_linked_users(harness: StoreHarness) -> None:
    await link_users(harness.store, ANA, ADA)
    await harness.store.run_admin(lambda t: t.block(ANA, until=None, reason="spam"), read_only=False)
    assert await harness.store.run_admin(lambda t: t.unblock(ADA), read_only=False)
    assert (await harness.store.standing(ANA)).block is None


async def test_strikes_of_linked_users_count_together(harness: StoreHarness) -> None:
    await link_users(harness.store, ANA, ADA)
    lengths = [
        (await harness.store.add_strike(key, "safety", timeout_for=strike_timeout)).until
        for key in (ANA, ADA, ANA)
    ]
    assert lengths == [harness.clock.now + seconds for seconds in (600, 3600, 86_400)]


def test_payments_and_links_of_earlier_versions_are_migrated(tmp_path: Path) -> None:
    c = sqlite3.connect(tmp_path / "old.db", isolation_level=None, factory=Connection)
    steps = load_migrations()
    number = next(step.number for step in steps if "CREATE TABLE payment" in step.sql)
    migrate(c, tmp_path / "old.db", [step for step in steps if step.number < number])
    c.executescript(
        """
        INSERT INTO account (id) VALUES (1), (2), (3);
        INSERT INTO person (key, account, created_at, seen_at)
            VALUES ('discord:42', 1, 1, 1), ('telegram:5', 1, 2, 2), ('telegram:6', 3, 3, 3);
        INSERT INTO ledger (at, counted_at, account, kind, purse, credits, note) VALUES
            (1, 1, 2, 'grant', 'granted', 30, 'payment:telegram:stranded'),
            (2, 2, 2, 'move', 'granted', -30, ''),
            (2, 2, 1, 'move', 'granted', 30, ''),
            (3, 3, 3, 'grant', 'granted', 9, 'payment:telegram:returned'),
            (4, 4, 3, 'move', 'granted', -7, 'payment-back:telegram:returned');
        """
    )
    migrate(c, tmp_path / "old.db", steps)
    rows = c.execute("SELECT name, payer, account, state, taken FROM payment ORDER BY id")
    assert [tuple(row) for row in rows] == [
        ("telegram:stranded", "telegram:5", 1, "paid", 0),
        ("telegram:returned", "telegram:6", 3, "refunded", 7),
    ]
    assert links.separate(c, "telegram:5", 5.0) == ["discord:42"]
    assert links.linked_keys(c, "discord:42") == ["discord:42"]
    c.close()
