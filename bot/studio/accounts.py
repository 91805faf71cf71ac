"""A user's account: credits, payments, linked accounts and personal data."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
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
from bot.studio.access import AccessControl, Viewer

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


def _without_paths(data: dict[str, Any]) -> dict[str, Any]:
    """An export in which each path of a file on this machine is only the file's name."""
    for job in data["jobs"]:
        request, clip = job["request"] or {}, job["clip"] or {}
        _keep_names(request, "image", "source")
        _keep_names(request.get("music") or {}, "track", "melody")
        _keep_names(clip, "path", "poster", "sheet")
    return data


def _keep_names(facts: dict[str, Any], *fields: str) -> None:
    facts.update({field: Path(facts[field]).name for field in fields if facts.get(field)})


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

    async def balance(self, viewer: Viewer) -> Balance:
        """The credits of this user in their chat; `used` is also right where the allowance is unlimited."""
        key, terms = viewer.requester.key, await self._access.terms_for(viewer)
        found = await self._store.balance(key, terms.allowance)
        if not found.unlimited:
            return found
        return replace(found, used=await self._store.used_in_window(key, terms.allowance))

    async def ledger_entries(self, viewer: Viewer, limit: int = 10) -> list[LedgerEntry]:
        """The latest bookings of the viewer's account, newest first."""
        return await self._store.ledger_entries(viewer.requester.key, limit)

    async def record_purchase(self, viewer: Viewer, credits_: int, *, payment: str) -> bool:
        """Book credits that the viewer paid for; False if this payment was booked before.

        Raises NoSuchPayment unless the payment was made on the viewer's platform.
        """
        if not payment.startswith(f"{viewer.platform}:"):
            raise NoSuchPayment
        return await self._store.record_purchase(viewer.requester.key, credits_, payment=payment)

    async def payments(self, viewer: Viewer) -> list[Payment]:
        """The payments of the viewer's account that were not returned, newest first."""
        return await self._store.payments_of(viewer.requester.key)

    async def refund_own_payment(self, viewer: Viewer, payment_id: int, return_money: ReturnMoney) -> Payment:
        """Refund a payment of the viewer's account from which no credit is spent.

        One that was refunded before is returned as it is: the press may be repeated after a restart that
        finished the refund. Raises NoSuchPayment or RefundUnderWay.
        """
        key = viewer.requester.key
        try:
            return await self._refund(partial(self._store.begin_own_refund, key, payment_id), return_money)
        except NoSuchPayment:
            refunded = await self._store.refunded_payment(key, payment_id)
            if refunded is None:
                raise
            return refunded

    async def refund_payment(self, viewer: Viewer, name: str, return_money: ReturnMoney) -> Payment:
        """Refund any payment, for operators: what is left of its credits is taken back.

        Raises NotAllowed, NoSuchPayment or RefundUnderWay.
        """
        if not viewer.requester.admin:
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

    async def reverse_purchase(self, viewer: Viewer, payment: str) -> None:
        """Take back what is left of the credits of a payment that the platform returned to this viewer.

        Does nothing if the payment is unknown, was reversed before, or is not the viewer's.
        """
        if payment.startswith(f"{viewer.platform}:"):
            await self._store.reverse_purchase(payment, payer=viewer.requester.key)

    # Links and privacy

    async def link_account(self, viewer: Viewer, code: str) -> LinkAnswer:
        """Create a code for "new" or no code; use any other code, which starts a request to both sides.

        A code that others have seen becomes invalid. Raises PrivateChatOnly, InvalidLinkCode, AlreadyLinked,
        Blocked, or, after wrong codes, RateLimited.
        """
        wants_code = code.strip().lower() in {"", "new"}
        if not viewer.private:
            if not wants_code:
                await self._store.withdraw_link_code(code)
            raise PrivateChatOnly
        requester = viewer.requester
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

    async def answer_link_request(self, viewer: Viewer, number: int, *, agree: bool) -> LinkRequest:
        """One side's answer to a link request; the other side is told once it is decided.

        Raises InvalidLinkCode or AlreadyLinked.
        """
        key = viewer.requester.key
        request = await self._store.answer_link_request(key, number, agree=agree)
        if request.complete:
            log.info("linked", who=request.taker.key, to=request.maker.key)
        if request.complete or not agree:
            self._notify_other_side(request, key, "link.done" if agree else "link.refused")
        return request

    async def unlink(self, viewer: Viewer) -> tuple[str, ...]:
        """Undo the links of this user and tell the other users, whose keys are returned.

        Raises PrivateChatOnly or NotLinked.
        """
        if not viewer.private:
            raise PrivateChatOnly
        requester = viewer.requester
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

    async def export(self, viewer: Viewer) -> dict[str, Any]:
        """Everything that is stored about the user, as data for a file.

        Raises NotAllowed for a user who writes in the name of a community without being its admin.
        """
        await self._access.require_own_key(viewer, "privacy")
        return _without_paths(await self._store.export(viewer.requester.key))

    async def delete_personal_data(self, viewer: Viewer) -> DeletedData:
        """Delete the user's prompts, clips and settings. The used part of the allowance stays used.

        Links are undone first, and the other users are told. Raises NotAllowed as `export`.
        """
        await self._access.require_own_key(viewer, "privacy")
        deleted = await self._sweeper.delete_personal_data(viewer.requester.key)
        if deleted.unlinked:
            await self._notify_unlinked(viewer.requester, deleted.unlinked)
        return deleted
