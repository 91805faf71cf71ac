"""Refunds withdraw credits first; payments follow a link and come back; a block holds for linked users."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from bot.domain.errors import AlreadyLinked, Blocked, InvalidLinkCode, NoSuchPayment, QuotaSpent
from bot.domain.quota import Allowance
from bot.moderation.prompt_policy import strike_timeout
from bot.store import links
from bot.store.connection import Connection
from bot.store.migrate import load_migrations, migrate
from bot.store.store import LinkSide, Payment
from tests.bot.store.conftest import StoreHarness, read_rows
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


async def test_a_returned_payment_is_taken_back_from_its_payer_only(harness: StoreHarness) -> None:
    payment = await buy(harness, ANA, 10)
    assert await harness.store.reverse_purchase(payment.name, payer="discord:7") is None
    assert await harness.store.reverse_purchase("discord:unknown", payer=ANA) is None
    assert [one.id for one in await harness.store.payments_of(ANA)] == [payment.id]
    assert await harness.store.reverse_purchase(payment.name, payer=ANA) == 10


async def test_a_returned_payment_of_a_user_who_deleted_their_data_is_taken_back(
    harness: StoreHarness,
) -> None:
    payment = await buy(harness, ANA, 10)
    await harness.store.delete_personal_data(ANA)
    assert await harness.store.reverse_purchase(payment.name, payer=ANA) == 10


async def test_a_refund_after_a_link_takes_the_credits_of_the_joined_account(harness: StoreHarness) -> None:
    payment = await buy(harness, ADA, 30)
    await link_users(harness.store, ANA, ADA)
    assert await granted(harness, ANA) == 30
    assert (await harness.store.payments_of(ANA))[0].payer == ADA
    assert await harness.store.reverse_purchase(payment.name, payer=ADA) == 30
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
    assert await harness.store.reverse_purchase(payment.name, payer=ANA) == 6
    await harness.store.cancel(job.id)
    assert await granted(harness, ANA) == 0, "the money for these credits was returned"


async def test_credits_that_return_during_a_refund_belong_to_it(harness: StoreHarness) -> None:
    harness.allowance = Allowance(credits=0)
    payment = await buy(harness, ANA, 10)
    job = await harness.ask(make_draft(cost=10))
    await harness.store.begin_refund(payment.name)
    await harness.store.cancel(job.id)
    assert await granted(harness, ANA) == 0
    await harness.store.cancel_refund(payment.id)
    assert await granted(harness, ANA) == 10
    await harness.store.begin_refund(payment.name)
    await harness.store.finish_refund(payment.id)
    assert await granted(harness, ANA) == 0


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


async def test_a_refund_of_a_job_that_moved_home_takes_nothing_from_the_other_user(
    harness: StoreHarness,
) -> None:
    harness.allowance = Allowance(credits=0)
    spent = await buy(harness, ANA, 10, "discord:spent")
    await harness.ask(make_draft("42", cost=10))
    await buy(harness, ADA, 10)
    await link_users(harness.store, ANA, ADA)
    mine = await harness.ask(make_draft("5", platform="telegram", cost=10))
    await harness.store.unlink(ADA)
    await harness.store.reverse_purchase(spent.name, payer=ANA)
    await harness.store.cancel(mine.id)
    assert (await granted(harness, ADA), await granted(harness, ANA)) == (10, 0)


async def test_what_a_guest_spent_stays_spent_after_retention(harness: StoreHarness) -> None:
    harness.allowance = Allowance(credits=0)
    await buy(harness, ANA, 30, "discord:charge")
    await buy(harness, ADA, 30)
    await link_users(harness.store, ANA, ADA)
    await harness.ask(make_draft("5", platform="telegram", cost=30))
    job = await harness.render()
    await harness.store.begin_delivery(job.id)
    await harness.store.mark_delivered(job.id, "5")
    await harness.store.delete_expired(before=harness.clock.now + 1)
    await harness.store.unlink(ADA)
    assert (await granted(harness, ADA), await granted(harness, ANA)) == (0, 30)


async def test_a_spent_pack_is_not_refunded_with_the_credits_of_the_other_user(harness: StoreHarness) -> None:
    harness.allowance = Allowance(credits=0)
    spent = await buy(harness, ADA, 10)
    await harness.ask(make_draft("5", platform="telegram", cost=10))
    kept = await buy(harness, ANA, 10, "discord:kept")
    await link_users(harness.store, ANA, ADA)
    with pytest.raises(NoSuchPayment):
        await harness.store.begin_own_refund(ADA, spent.id)
    assert await harness.store.reverse_purchase(spent.name, payer=ADA) == 0
    assert [found.fully_refundable for found in await harness.store.payments_of(ADA)] == [True]
    await harness.store.begin_own_refund(ANA, kept.id)
    assert await granted(harness, ANA) == 0


async def test_the_debt_of_one_user_is_not_collected_from_the_other(harness: StoreHarness) -> None:
    harness.allowance = Allowance(credits=0)
    spent = await buy(harness, ADA, 10)
    await harness.ask(make_draft("5", platform="telegram", cost=10))
    await buy(harness, ANA, 10, "discord:kept")
    await link_users(harness.store, ANA, ADA)
    await harness.store.reverse_purchase(spent.name, payer=ADA)
    job = await harness.ask(make_draft("42", cost=10))
    await harness.store.cancel(job.id)
    assert await granted(harness, ANA) == 10


async def test_a_refund_of_an_earlier_link_stays_with_who_paid(harness: StoreHarness) -> None:
    """Otherwise the guest would carry off credits of the host by linking twice."""
    harness.allowance = Allowance(credits=0)
    await buy(harness, ANA, 10, "discord:charge")
    await link_users(harness.store, ANA, ADA)
    job = await harness.ask(make_draft("5", platform="telegram", cost=10))
    await harness.store.unlink(ADA)
    await link_users(harness.store, ANA, ADA)
    await harness.store.cancel(job.id)
    await harness.store.unlink(ADA)
    assert (await granted(harness, ADA), await granted(harness, ANA)) == (0, 10)


async def test_a_deletion_during_a_refund_keeps_who_paid_until_the_platform_answers(
    harness: StoreHarness,
) -> None:
    payment = await buy(harness, ADA, 10)
    await harness.store.begin_own_refund(ADA, payment.id)
    await harness.store.delete_personal_data(ADA)
    assert [found.payer for found in await harness.store.refunds_under_way("telegram")] == [ADA]
    await harness.store.finish_refund(payment.id)
    rows = await read_rows(harness.store, lambda c: c.execute("SELECT payer, state FROM payment").fetchall())
    assert [tuple(row) for row in rows] == [("", "refunded")]
    assert await granted(harness, ADA) == 0


async def test_a_user_who_returns_after_a_deletion_can_refund_an_unused_pack(harness: StoreHarness) -> None:
    payment = await buy(harness, ADA, 10)
    await harness.store.delete_personal_data(ADA)
    with pytest.raises(NoSuchPayment):
        await harness.store.begin_refund(payment.name)
    await harness.ask(make_draft("5", platform="telegram"))
    assert (await harness.store.begin_own_refund(ADA, payment.id)).payer == ADA


async def test_each_side_refunds_its_own_pack_after_the_other_deleted_their_data(
    harness: StoreHarness,
) -> None:
    mine = await buy(harness, ADA, 10)
    theirs = await buy(harness, ANA, 20, "discord:charge")
    await link_users(harness.store, ANA, ADA)
    deleted = await harness.store.delete_personal_data(ANA)
    assert deleted.unlinked == (ADA,)
    with pytest.raises(NoSuchPayment):
        await harness.store.begin_own_refund(ADA, theirs.id)
    assert (await harness.store.begin_own_refund(ADA, mine.id)).payer == ADA
    await harness.store.finish_refund(mine.id)
    assert await granted(harness, ADA) == 0


async def test_a_third_user_needs_the_yes_of_all_and_is_therefore_refused(harness: StoreHarness) -> None:
    await link_users(harness.store, ANA, ADA)
    with pytest.raises(AlreadyLinked):
        await harness.store.create_link_code(LinkSide(ANA, "Ana", "en"))


async def test_a_code_from_before_the_link_lets_no_third_user_in(harness: StoreHarness) -> None:
    code = await harness.store.create_link_code(LinkSide(ADA, "Ada", "en"))
    await link_users(harness.store, ANA, ADA)
    with pytest.raises((AlreadyLinked, InvalidLinkCode)):
        await harness.store.request_link(LinkSide("discord:7", "Eve", "en"), code)


async def test_a_blocked_user_links_with_nobody(harness: StoreHarness) -> None:
    """So a block cannot be passed on to somebody else by a link either."""
    code = await harness.store.create_link_code(LinkSide(ANA, "Ana", "en"))
    request = await harness.store.request_link(LinkSide(ADA, "Ada", "en"), code)
    await harness.store.answer_link_request(ADA, request.id, agree=True)
    await harness.store.run_admin(lambda t: t.block(ADA, until=None, reason="spam"), read_only=False)
    with pytest.raises(InvalidLinkCode):
        await harness.store.answer_link_request(ANA, request.id, agree=True)
    with pytest.raises(Blocked):
        await harness.store.answer_link_request(ADA, request.id, agree=True)
    with pytest.raises(Blocked):
        await harness.store.create_link_code(LinkSide(ADA, "Ada", "en"))
    code = await harness.store.create_link_code(LinkSide("discord:7", "Eve", "en"))
    with pytest.raises(Blocked):
        await harness.store.request_link(LinkSide(ADA, "Ada", "en"), code)
    await harness.store.run_admin(lambda t: t.block("discord:7", until=None, reason="x"), read_only=False)
    with pytest.raises(InvalidLinkCode):
        await harness.store.request_link(LinkSide(ANA, "Ana", "en"), code)
    assert (await harness.store.standing(ANA)).block is None


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
