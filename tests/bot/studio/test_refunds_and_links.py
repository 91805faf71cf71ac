"""Refunds whose platform answers late, twice or never; who is told about links, and guessed codes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from bot.domain.errors import InvalidLinkCode, NoSuchPayment, PrivateChatOnly, RateLimited, RefundUnderWay
from bot.domain.events import EventBus, UserNoticeRaised
from bot.domain.quota import Allowance
from bot.store.store import Payment, Store
from bot.studio.accounts import WrongCodeLimit
from bot.studio.studio import Studio, Viewer
from tests.bot.app_harness import open_studio
from tests.bot.store.conftest import Clock
from tests.factories import link_users, make_viewer

ADA, EVE = make_viewer("ada", private=True), make_viewer("eve", private=True)
ANA = make_viewer("ana", private=True, language="de")
SEEN_ADA = replace(ADA, private=False)


@dataclass
class Bank:
    """A platform that returns money when the test lets it answer."""

    answers: list[bool | Exception | None]
    asked: list[str] = field(default_factory=list)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    was_asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def return_money(self, payment: Payment) -> bool | None:
        self.asked.append(payment.name)
        self.was_asked.set()
        answer = self.answers.pop(0)
        await self.may_answer.wait()
        if isinstance(answer, Exception):
            raise answer
        return answer


def prompt_bank(*answers: bool | Exception | None) -> Bank:
    bank = Bank(list(answers))
    bank.may_answer.set()
    return bank


@dataclass
class Accounts:
    studio: Studio
    store: Store
    events: EventBus

    async def buy(self, who: Viewer, name: str = "fake:1") -> Payment:
        await self.studio.record_purchase(who, 10, payment=name)
        return next(payment for payment in await self.studio.payments(who) if payment.name == name)

    async def granted(self, who: Viewer) -> int:
        return (await self.store.balance(who.requester.key, Allowance(credits=0))).granted


@pytest.fixture
async def accounts(tmp_path: Path) -> AsyncIterator[Accounts]:
    async with open_studio(tmp_path, credits_=0) as (store, studio, events):
        yield Accounts(studio, store, events)


async def refused(call: Awaitable[object], *errors: type[Exception]) -> None:
    with pytest.raises(errors):
        await call


async def test_a_second_press_before_the_platform_answers_asks_it_only_once(accounts: Accounts) -> None:
    payment, bank = await accounts.buy(ADA), Bank([True])
    first = asyncio.create_task(accounts.studio.refund_own_payment(ADA, payment.id, bank.return_money))
    await bank.was_asked.wait()
    await refused(accounts.studio.refund_own_payment(ADA, payment.id, bank.return_money), RefundUnderWay)
    await accounts.studio.resume_refunds("fake", bank.return_money)
    bank.may_answer.set()
    await first
    assert bank.asked == ["fake:1"]
    assert await accounts.granted(ADA) == 0


async def test_the_platform_reports_the_refund_before_it_answers(accounts: Accounts) -> None:
    payment, bank = await accounts.buy(ADA), Bank([True])
    first = asyncio.create_task(accounts.studio.refund_own_payment(ADA, payment.id, bank.return_money))
    await bank.was_asked.wait()
    for _ in range(2):
        await accounts.studio.reverse_purchase(ADA, payment.name)
    bank.may_answer.set()
    await first
    assert await accounts.granted(ADA) == 0
    assert await accounts.studio.payments(ADA) == []


async def test_a_platform_that_never_answers_is_asked_again(accounts: Accounts) -> None:
    payment, bank = await accounts.buy(ADA), prompt_bank(None, None, True)
    for _ in range(2):
        await refused(accounts.studio.refund_own_payment(ADA, payment.id, bank.return_money), RefundUnderWay)
        assert await accounts.granted(ADA) == 0
    await accounts.studio.resume_refunds("fake", bank.return_money)
    await accounts.studio.resume_refunds("fake", bank.return_money)
    assert len(bank.asked) == 3
    assert await accounts.studio.payments(ADA) == []


async def test_a_press_that_is_repeated_after_the_refund_gets_the_same_answer(accounts: Accounts) -> None:
    payment, bank = await accounts.buy(ADA), prompt_bank(True)
    for _ in range(2):
        found = await accounts.studio.refund_own_payment(ADA, payment.id, bank.return_money)
        assert found.id == payment.id
    assert len(bank.asked) == 1
    await refused(accounts.studio.refund_own_payment(EVE, payment.id, bank.return_money), NoSuchPayment)


async def test_a_refund_that_was_refused_meanwhile_is_not_resumed(accounts: Accounts) -> None:
    """The list of open refunds is older than the question: the second one can be spent again."""
    one, two = await accounts.buy(ADA), await accounts.buy(EVE, "fake:2")
    never = prompt_bank(None, None)
    await refused(accounts.studio.refund_own_payment(ADA, one.id, never.return_money), RefundUnderWay)
    await refused(accounts.studio.refund_own_payment(EVE, two.id, never.return_money), RefundUnderWay)
    slow = Bank([True])
    resuming = asyncio.create_task(accounts.studio.resume_refunds("fake", slow.return_money))
    await slow.was_asked.wait()
    refusing = prompt_bank(False)
    await refused(accounts.studio.refund_own_payment(EVE, two.id, refusing.return_money), NoSuchPayment)
    slow.may_answer.set()
    await resuming
    assert slow.asked == ["fake:1"]
    assert await accounts.granted(EVE) == 10


async def test_a_failing_question_stops_no_other_refund(accounts: Accounts) -> None:
    bank = prompt_bank(None, None, ValueError("an odd answer"), True)
    for who, name in ((ADA, "fake:1"), (EVE, "fake:2")):
        payment = await accounts.buy(who, name)
        await refused(accounts.studio.refund_own_payment(who, payment.id, bank.return_money), RefundUnderWay)
    await accounts.studio.resume_refunds("fake", bank.return_money)
    assert bank.asked[2:] == ["fake:1", "fake:2"]
    assert [len(await accounts.studio.payments(who)) for who in (ADA, EVE)] == [1, 0]


async def test_an_interrupted_question_keeps_the_credits_withdrawn(accounts: Accounts) -> None:
    payment, bank = await accounts.buy(ADA), Bank([True])
    pressing = asyncio.create_task(accounts.studio.refund_own_payment(ADA, payment.id, bank.return_money))
    await bank.was_asked.wait()
    pressing.cancel()
    await asyncio.wait([pressing])
    assert await accounts.granted(ADA) == 0
    await accounts.studio.resume_refunds("fake", prompt_bank(False).return_money)
    assert await accounts.granted(ADA) == 10


async def test_a_deletion_during_a_refund_returns_no_credits(accounts: Accounts) -> None:
    payment, never = await accounts.buy(ADA), prompt_bank(None)
    await refused(accounts.studio.refund_own_payment(ADA, payment.id, never.return_money), RefundUnderWay)
    await accounts.studio.delete_personal_data(ADA)
    payers: list[str] = []

    async def return_money(open_refund: Payment) -> bool:
        payers.append(open_refund.payer)
        return True

    await accounts.studio.resume_refunds("fake", return_money)
    assert payers == [ADA.requester.key]
    assert await accounts.granted(ADA) == 0


async def test_codes_cannot_be_guessed(accounts: Accounts) -> None:
    code = (await accounts.studio.link_account(ANA, "new")).code
    assert len(code) == 8
    for _ in range(WrongCodeLimit.TRIES):
        await refused(accounts.studio.link_account(EVE, "AAAAAAAA"), InvalidLinkCode)
    await refused(accounts.studio.link_account(EVE, code), RateLimited)
    request = (await accounts.studio.link_account(ADA, code)).request
    assert request is not None, "the limit of one user stops nobody else"


def test_wrong_codes_are_forgotten_after_ten_minutes() -> None:
    clock = Clock()
    limit = WrongCodeLimit(clock)
    for _ in range(limit.TRIES):
        limit.check("fake:eve")
        limit.record("fake:eve")
    with pytest.raises(RateLimited):
        limit.check("fake:eve")
    clock.now += limit.SECONDS
    limit.check("fake:eve")
    for number in range(limit.MAX_USERS + 1):
        limit.record(f"fake:{number}")
        clock.now += 1
    assert len(limit._wrong_at) <= limit.MAX_USERS


async def test_codes_are_made_taken_and_undone_only_in_private(accounts: Accounts) -> None:
    code = (await accounts.studio.link_account(ANA, "new")).code
    for typed in ("new", code.lower()):
        await refused(accounts.studio.link_account(SEEN_ADA, typed), PrivateChatOnly)
    await refused(accounts.studio.link_account(ADA, code), InvalidLinkCode)
    await refused(accounts.studio.unlink(SEEN_ADA), PrivateChatOnly)


async def test_a_link_shares_nothing_before_both_sides_agree(accounts: Accounts) -> None:
    await accounts.buy(ANA)
    code = (await accounts.studio.link_account(ANA, "new")).code
    request = (await accounts.studio.link_account(EVE, code)).request
    assert request is not None
    for _ in range(2):
        await accounts.studio.answer_link_request(EVE, request.id, agree=True)
    assert (await accounts.granted(EVE), await accounts.studio.payments(EVE)) == (0, [])
    await accounts.studio.answer_link_request(ANA, request.id, agree=False)
    await refused(accounts.studio.answer_link_request(EVE, request.id, agree=True), InvalidLinkCode)
    assert await accounts.granted(EVE) == 0


@pytest.mark.parametrize("ends", ["unlink", "delete_personal_data"])
async def test_the_other_side_is_told_that_a_link_ended(accounts: Accounts, ends: str) -> None:
    await link_users(accounts.store, ANA.requester.key, ADA.requester.key)
    await accounts.store.change_setting(ANA.requester.key, "language", "de")
    told: list[UserNoticeRaised] = []
    accounts.events.subscribe(UserNoticeRaised, told.append)
    enders: dict[str, Callable[[], Awaitable[object]]] = {
        "unlink": lambda: accounts.studio.unlink(ADA),
        "delete_personal_data": lambda: accounts.studio.delete_personal_data(ADA),
    }
    await enders[ends]()
    assert [(event.key, event.notice.language) for event in told] == [(ANA.requester.key, "de")]
    assert ADA.requester.key in told[0].notice.text
