"""Sell credits for Telegram Stars, if the operator set a price. The ledger records each payment once."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog
from telegram import InlineKeyboardMarkup, LabeledPrice
from telegram.error import BadRequest, Forbidden, TelegramError

from bot.domain.jobs import Action, Job, Requester
from bot.frontends.telegram.keyboards import button
from bot.frontends.telegram.message_context import PLATFORM
from bot.i18n import messages
from bot.studio.studio import Viewer

if TYPE_CHECKING:
    from telegram import Message, PreCheckoutQuery

    from bot.frontends.telegram.message_context import Invocation, MessageContext
    from bot.frontends.telegram.update_replies import CommandHandler, Responder
    from bot.store.store import Payment

PACKS = (10, 50, 100)
"""The amounts of credits that a user can buy."""
CURRENCY = "XTR"
PAYLOAD = re.compile(r"credits:(\d{1,6})")
ALREADY_REFUNDED = "charge_already_refunded"
RESUME_SECONDS = 300.0
"""Seconds between questions about refunds that Telegram has not confirmed."""
FIRST_RESUME_SECONDS = 10.0
"""Seconds that a press waits for the refunds that an earlier process left: its own may be among them."""

log = structlog.get_logger(__name__)


@dataclass
class StarPayments:
    responder: Responder
    stars_per_credit: int
    _has_resumed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def handlers(self) -> dict[str, CommandHandler]:
        return {"buy": self.buy, "paysupport": self.show_refunds, "refund": self.refund}

    async def buy(self, invocation: Invocation) -> None:
        text = messages.translate("buy", invocation.context.language)
        await self.responder.reply(invocation.context, text, self.pack_keyboard(invocation.context.language))

    async def show_refunds(self, invocation: Invocation) -> None:
        """/paysupport, which Telegram requires of bots that accept Stars: offer refunds."""
        context = invocation.context
        payments = await self.responder.studio.payments(self.responder.viewer(context))
        refundable = [payment for payment in payments if payment.fully_refundable or payment.refund_under_way]
        text = messages.translate("paysupport", context.language)
        await self.responder.reply(
            context, text, self._refund_keyboard(refundable, context.language) if refundable else None
        )

    async def refund(self, invocation: Invocation) -> None:
        """/refund CHARGE, for admins: return a payment's Stars and take back what is left of its credits."""
        context = invocation.context
        payment = await self.responder.studio.refund_payment(
            self.responder.viewer(context), f"{PLATFORM}:{invocation.arguments.strip()}", self._return_stars
        )
        await self.responder.reply(
            context, messages.translate("refunded", context.language, credits=payment.credits)
        )

    async def refund_own_pack(self, context: MessageContext, payment_id: int) -> str:
        """Refund a payment of the requester's from which no credit was spent; return the confirmation."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._has_resumed.wait(), FIRST_RESUME_SECONDS)
        payment = await self.responder.studio.refund_own_payment(
            self.responder.viewer(context), payment_id, self._return_stars
        )
        return messages.translate("refunded", context.language, credits=payment.credits)

    async def resume_refunds_periodically(self) -> None:
        """Finish the refunds of which the outcome is unknown: now, and every few minutes."""
        while True:
            try:
                await self.responder.studio.resume_refunds(PLATFORM, self._return_stars)
            except Exception:  # the next try may succeed
                log.exception("could not resume refunds")
            self._has_resumed.set()
            await asyncio.sleep(RESUME_SECONDS)

    async def refund_keyboard_for_failed(self, job: Job) -> InlineKeyboardMarkup | None:
        """A button to refund one unused payment in Stars, for a requester whose job failed."""
        payments = await self.responder.studio.payments(Viewer.owner_of(job))
        refundable = [payment for payment in payments if payment.fully_refundable]
        return self._refund_keyboard(refundable[:1], job.requester.language) if refundable else None

    async def _return_stars(self, payment: Payment) -> bool | None:
        """Ask Telegram to return the Stars of a payment.

        True if they are returned now or were before, False if Telegram refuses, None if that is unknown.
        """
        charge = payment.name.removeprefix(f"{PLATFORM}:")
        platform, _, user = payment.payer.partition(":")
        if platform != PLATFORM:
            log.warning("refund of Stars is unconfirmed", payment=charge, reason="it is not known who paid")
            return None
        try:
            await self.responder.messenger.bot.refund_star_payment(int(user), charge)
        except (BadRequest, Forbidden) as error:
            log.info("could not refund Stars", payment=charge, user=user, reason=error.message)
            return ALREADY_REFUNDED in error.message.lower()
        except TelegramError as error:
            log.warning("refund of Stars is unconfirmed", payment=charge, reason=type(error).__name__)
            return None
        log.info("Stars refunded", payment=charge, user=user)
        return True

    def pack_keyboard(self, language: str) -> InlineKeyboardMarkup:
        buttons = [
            button(
                messages.translate("pack", language, credits=pack, stars=pack * self.stars_per_credit),
                Action("buy", 0, str(pack)),
            )
            for pack in PACKS
        ]
        return InlineKeyboardMarkup([[one] for one in buttons])

    async def send_invoice(self, context: MessageContext, pack: str) -> None:
        """Send the invoice for a pack. Ignore any amount that no button offers."""
        if pack not in map(str, PACKS):
            return
        title = messages.translate("invoice", context.language, credits=pack)
        await self.responder.messenger.bot.send_invoice(
            context.chat,
            title,
            messages.translate("invoice.about", context.language),
            f"credits:{pack}",
            CURRENCY,
            [LabeledPrice(title, int(pack) * self.stars_per_credit)],
            message_thread_id=context.thread,
        )

    async def answer_checkout(self, query: PreCheckoutQuery, language: str) -> None:
        """Accept a checkout, or refuse it if its invoice shows a price that no longer applies."""
        is_valid = (
            self._credits_of_invoice(query.invoice_payload, query.total_amount, query.currency) is not None
        )
        refusal = None if is_valid else messages.translate("invoice.old", language)
        await self.responder.messenger.bot.answer_pre_checkout_query(
            query.id, ok=is_valid, error_message=refusal
        )

    async def record_payment(self, message: Message, context: MessageContext) -> None:
        """Grant the credits that were paid for, or return the Stars."""
        payment = message.successful_payment
        assert payment is not None, "the message reports no payment"
        charge = payment.telegram_payment_charge_id
        bought = self._credits_of_invoice(payment.invoice_payload, payment.total_amount, payment.currency)
        if bought is None:
            log.warning("payment for an unknown offer", payment=charge, payload=payment.invoice_payload)
            await self._refund_unrecorded(int(context.requester.user), charge)
            return
        try:
            is_new = await self.responder.studio.record_purchase(
                self.responder.viewer(context), bought, payment=f"{PLATFORM}:{charge}"
            )
        except Exception:  # after any failure the user must not have paid without receiving credits
            log.exception("could not record a payment", payment=charge)
            await self._refund_unrecorded(int(context.requester.user), charge)
            return
        if is_new:
            await self.responder.reply(
                context, messages.translate("bought", context.language, credits=bought)
            )

    async def record_refund(self, message: Message) -> None:
        """Take back the credits after Telegram reports a refund of Stars, by the bot or by Telegram."""
        refund = message.refunded_payment
        assert refund is not None, "the message reports no refund"
        author = (
            message.from_user
        )  # the bot itself in some chats: then the private chat has the user's number
        payer = message.chat.id if author is None or author.is_bot else author.id
        viewer = Viewer(requester=Requester(platform=PLATFORM, user=str(payer)), chat=str(message.chat.id))
        await self.responder.studio.reverse_purchase(
            viewer, f"{PLATFORM}:{refund.telegram_payment_charge_id}"
        )

    def _refund_keyboard(self, payments: list[Payment], language: str) -> InlineKeyboardMarkup:
        buttons = [
            button(
                messages.translate("button.refund", language, credits=payment.credits),
                Action("refund", payment.id),
            )
            for payment in payments
        ]
        return InlineKeyboardMarkup([[one] for one in buttons])

    def _credits_of_invoice(self, payload: str, amount: int, currency: str) -> int | None:
        found = PAYLOAD.fullmatch(payload)
        if found is None or currency != CURRENCY or int(found[1]) * self.stars_per_credit != amount:
            return None
        return int(found[1])

    async def _refund_unrecorded(self, user: int, charge: str) -> None:
        try:
            await self.responder.messenger.bot.refund_star_payment(user, charge)
        except TelegramError as error:
            log.error("could not refund Stars", payment=charge, user=user, reason=error.message)  # noqa: TRY400  (Telegram's reason is enough)
