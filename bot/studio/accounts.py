"""A user's account: credits, payments, settings, linked accounts and personal data."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import structlog

from bot.domain.errors import (
    InvalidLinkCode,
    NoSuchPayment,
    NotAllowed,
    NotLinked,
    PrivateChatOnly,
    RateLimited,
    RefundUnderWay,
)
from bot.domain.events import EventBus, Notice, UserNoticeRaised
from bot.domain.jobs import Action, Requester
from bot.domain.quota import Balance
from bot.i18n import messages
from bot.maintenance.retention import RetentionSweeper
from bot.store.store import DeletedData, LedgerEntry, LinkRequest, LinkSide, Payment, Store
from bot.studio.access import AccessControl

log = structlog.get_logger(__name__)

ReturnMoney = Callable[[Payment], Awaitable[bool | None]]
"""Asks the platform to return a payment.

True: it is returned, now or before. False: the platform refuses. None: the answer is not known.
"""


@dataclass(frozen=True, slots=True)
class LinkAnswer:
    """Either a code to enter on the other platform, or a request that both sides have to confirm."""

    code: str = ""
    request: LinkRequest | None = None


def link_actions(request: LinkRequest) -> tuple[Action, Action]:
    """The buttons below the question to either side of a link request."""
    return Action("link", request.id), Action("nolink", request.id)


class WrongCodeLimit:
    """How many wrong link codes a user may enter, so that codes cannot be guessed."""

    TRIES = 5
    SECONDS = 600.0
    MAX_USERS = 10_000

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong_at: dict[str, list[float]] = {}

    def check(self, key: str) -> None:
        """Raises RateLimited."""
        recent = self._recent(key)
        if len(recent) >= self.TRIES:
            wait = recent[0] + self.SECONDS - self._clock()
            raise RateLimited(self.TRIES, self.SECONDS, time.time() + wait)

    def record(self, key: str) -> None:
        if len(self._wrong_at) >= self.MAX_USERS:
            self._wrong_at = {each: recent for each in self._wrong_at if (recent := self._recent(each))}
        self._wrong_at[key] = [*self._recent(key), self._clock()]

    def _recent(self, key: str) -> list[float]:
        since = self._clock() - self.SECONDS
        return [at for at in self._wrong_at.get(key, ()) if at > since]


class Accounts:
    def __init__(
        self, *, store: Store, access: AccessControl, sweeper: RetentionSweeper, events: EventBus
    ) -> None:
        self._store = store
        self._access = access
        self._sweeper = sweeper
        self._events = events
        self._refund_lock = asyncio.Lock()
        self._refunds_in_flight: set[int] = set()
        self._wrong_codes = WrongCodeLimit()

    # Credits and payments

    async def balance(self, requester: Requester, chat: str = "") -> Balance:
        """The credits of this user in this chat; `used` is also right where the allowance is unlimited."""
        terms = await self._access.terms_for(requester, chat)
        found = await self._store.balance(requester.key, terms.allowance)
        if not found.unlimited:
            return found
        return replace(found, used=await self._store.used_in_window(requester.key, terms.allowance))

    async def ledger_entries(self, requester: Requester, limit: int = 10) -> list[LedgerEntry]:
        """The latest bookings, newest first."""
        return await self._store.ledger_entries(requester.key, limit)

    async def record_purchase(self, requester: Requester, credits_: int, *, payment: str) -> bool:
        """Book credits that were paid for; False if this payment was booked before."""
        return await self._store.record_purchase(requester.key, credits_, payment=payment)

    async def payments(self, requester: Requester) -> list[Payment]:
        """The user's payments that were not returned, newest first."""
        return await self._store.payments_of(requester.key)

    async def refund_own_payment(
        self, requester: Requester, payment_id: int, return_money: ReturnMoney
    ) -> Payment:
        """Refund a payment of the requester's account from which no credit is spent.

        Raises NoSuchPayment or RefundUnderWay.
        """
        return await self._refund(
            partial(self._store.begin_own_refund, requester.key, payment_id), return_money
        )

    async def refund_payment(self, requester: Requester, name: str, return_money: ReturnMoney) -> Payment:
        """Refund any payment, for admins: what is left of its credits is taken back.

        Raises NotAllowed, NoSuchPayment or RefundUnderWay.
        """
        if not requester.admin:
            raise NotAllowed("refund")
        return await self._refund(partial(self._store.begin_refund, name), return_money)

    async def resume_refunds(self, platform: str, return_money: ReturnMoney) -> None:
        """Ask again about the refunds of which the outcome is unknown, for example after a crash."""
        for payment in await self._store.refunds_under_way(platform):
            try:
                await self._refund(partial(self._store.refund_under_way, payment.id), return_money)
            except (NoSuchPayment, RefundUnderWay) as outcome:
                log.info("refund not resumed", payment=payment.name, reason=type(outcome).__name__)
            except Exception:  # one refund must not keep the others waiting
                log.exception("refund not resumed", payment=payment.name)

    async def _refund(self, begin: Callable[[], Awaitable[Payment]], return_money: ReturnMoney) -> Payment:
        """Withdraw the credits, ask the platform, and book them back if it refuses.

        If the platform gives no answer, or the process ends, the credits stay withdrawn until a later call
        finds out. The lock keeps the state of the payment and `_refunds_in_flight` in step, so that the
        platform is never asked about a refund that was refused meanwhile.
        """
        async with self._refund_lock:
            payment = await begin()
            if payment.id in self._refunds_in_flight:
                raise RefundUnderWay
            self._refunds_in_flight.add(payment.id)
        try:
            is_returned = await return_money(payment)
            if is_returned is None:
                raise RefundUnderWay
            async with self._refund_lock:
                if is_returned:
                    await self._store.finish_refund(payment.id)
                else:
                    await self._store.cancel_refund(payment.id)
                self._refunds_in_flight.discard(payment.id)
        finally:
            self._refunds_in_flight.discard(payment.id)
        if not is_returned:
            raise NoSuchPayment
        return payment

    async def reverse_purchase(self, payment: str) -> None:
        """Take back what is left of the credits of a payment that the platform reports as returned."""
        await self._store.reverse_purchase(payment)

    # Settings; `key` is Requester.key or the key of a community

    async def settings(self, key: str) -> dict[str, Any]:
        """The defaults of a user or a community."""
        return await self._store.settings(key)

    async def change_setting(self, key: str, name: str, value: Any) -> None:
        """Set one default; None removes it."""
        await self._store.change_setting(key, name, value)

    async def languages(self, platform: str) -> dict[str, str]:
        """The language of every user and community of the platform that chose one."""
        return await self._store.chosen_languages(platform)

    async def move_chat(self, platform: str, old: str, new: str) -> None:
        """Move settings and waiting replies to the new id of a chat."""
        await self._store.move_chat(platform, old, new)

    # Links and privacy

    async def link_account(self, requester: Requester, code: str, *, private: bool) -> LinkAnswer:
        """Create a code for "new" or no code; use any other code, which starts a request to both sides.

        `private` says that nobody else sees the command and its answer. A code that others have seen becomes
        invalid. Raises PrivateChatOnly, InvalidLinkCode, AlreadyLinked, Blocked, or, after wrong codes,
        RateLimited.
        """
        wants_code = code.strip().lower() in {"", "new"}
        if not private:
            if not wants_code:
                await self._store.withdraw_link_code(code)
            raise PrivateChatOnly
        side = LinkSide(requester.key, messages.sanitized(requester.name, 64), requester.language)
        pending = await self._store.pending_link_request(requester.key) if wants_code else None
        if pending is not None:
            return LinkAnswer(request=pending)
        if wants_code:
            return LinkAnswer(code=await self._store.create_link_code(side))
        self._wrong_codes.check(requester.key)
        try:
            request = await self._store.request_link(side, code)
        except InvalidLinkCode:
            self._wrong_codes.record(requester.key)
            raise
        self._publish_link_question(request, request.maker)
        return LinkAnswer(request=request)

    async def answer_link_request(self, requester: Requester, number: int, *, agree: bool) -> LinkRequest:
        """One side's answer to a link request; the other side is told once it is decided.

        Raises InvalidLinkCode or AlreadyLinked.
        """
        request = await self._store.answer_link_request(requester.key, number, agree=agree)
        if request.complete:
            log.info("linked", who=request.taker.key, to=request.maker.key)
        if request.complete or not agree:
            self._notify_other_side(request, requester.key, "link.done" if agree else "link.refused")
        return request

    async def unlink(self, requester: Requester, *, private: bool) -> tuple[str, ...]:
        """Undo the links of this user and tell the other users, whose keys are returned.

        Raises PrivateChatOnly or NotLinked.
        """
        if not private:
            raise PrivateChatOnly
        others = await self._store.unlink(requester.key)
        if not others:
            raise NotLinked
        await self._notify_unlinked(requester, others)
        return tuple(others)

    async def _notify_unlinked(self, requester: Requester, others: Sequence[str]) -> None:
        log.info("unlinked", who=requester.key, others=others)
        for other in others:
            chosen = (await self._store.settings(other)).get("language") or requester.language
            language = messages.nearest_language(str(chosen))
            text = messages.translate("link.undone", language, other=requester.key)
            self._events.publish(UserNoticeRaised(other, Notice(text=text, language=language)))

    def _publish_link_question(self, request: LinkRequest, side: LinkSide) -> None:
        other = request.other_side(side.key)
        text = messages.link_question(other.key, other.name, side.language)
        notice = Notice(text=text, actions=link_actions(request), language=side.language)
        self._events.publish(UserNoticeRaised(side.key, notice))

    def _notify_other_side(self, request: LinkRequest, key: str, sentence: str) -> None:
        other = request.other_side(key)
        me = request.other_side(other.key)
        text = messages.translate(sentence, other.language, other=messages.link_name(me.key, me.name))
        self._events.publish(UserNoticeRaised(other.key, Notice(text=text, language=other.language)))

    async def export(self, requester: Requester) -> dict[str, Any]:
        """Everything that is stored about the user, as data for a file."""
        return await self._store.export(requester.key)

    async def delete_personal_data(self, requester: Requester) -> DeletedData:
        """Delete the user's prompts, clips and settings. The used part of the allowance stays used.

        Links are undone first, and the other users are told.
        """
        deleted = await self._sweeper.delete_personal_data(requester.key)
        if deleted.unlinked:
            await self._notify_unlinked(requester, deleted.unlinked)
        return deleted
