"""Credits for Telegram Stars, where the operator set a price: every payment is one ledger row, once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from telegram import InlineKeyboardMarkup, LabeledPrice
from telegram.error import BadRequest, TelegramError

from bot.domain.errors import NoSuchPayment, NotAllowed
from bot.domain.jobs import Action, Job
from bot.frontends.telegram.keyboards import button
from bot.frontends.telegram.message_context import NAME
from bot.i18n import messages

if TYPE_CHECKING:
    from telegram import Message, PreCheckoutQuery

    from bot.frontends.telegram.invocation import Asked
    from bot.frontends.telegram.message_context import Place
    from bot.frontends.telegram.responder import Command, Desk
    from bot.store.payments import Payment

PACKS = (10, 50, 100)
"""Credits that can be bought at once."""
CURRENCY = "XTR"
PAYLOAD = re.compile(r"credits:(\d{1,6})")
DONE_BEFORE = "charge_already_refunded"

log = structlog.get_logger(__name__)


@dataclass
class Till:
    desk: Desk
    price: int  # Stars a credit

    @property
    def commands(self) -> dict[str, Command]:
        return {"buy": self.buy, "paysupport": self.support, "refund": self.refund}

    async def buy(self, asked: Asked) -> None:
        text = messages.words("buy", asked.place.language)
        await self.desk.tell(asked.place, text, self.packs(asked.place.language))

    async def support(self, asked: Asked) -> None:
        """What Telegram asks of everybody who takes Stars: a way to get them back."""
        place = asked.place
        payments = await self.desk.studio.payments(place.requester)
        whole = [payment for payment in payments if payment.whole]
        text = messages.words("paysupport", place.language)
        await self.desk.tell(place, text, self._refunds(whole, place.language) if whole else None)

    async def refund(self, asked: Asked) -> None:
        """/refund CHARGE, for operators: the Stars of a payment go back, and what is left of its credits."""
        place = asked.place
        if not place.requester.admin:
            raise NotAllowed("refund")
        payment = await self.desk.studio.payment(f"{NAME}:{asked.words.strip()}")
        await self._give_back(payment)
        await self.desk.tell(place, messages.words("refunded", place.language, credits=payment.credits))

    async def give_back_own(self, place: Place, number: int) -> str:
        """A pack of which nothing was spent, for whoever bought it."""
        payments = await self.desk.studio.payments(place.requester)
        mine = [payment for payment in payments if payment.id == number and payment.whole]
        if not mine:
            raise NoSuchPayment
        await self._give_back(mine[0])
        return messages.words("refunded", place.language, credits=mine[0].credits)

    async def for_failed(self, job: Job) -> InlineKeyboardMarkup | None:
        """Whose clip failed may have the Stars of an untouched pack back instead of its credits."""
        payments = await self.desk.studio.payments(job.requester)
        whole = [payment for payment in payments if payment.whole]
        return self._refunds(whole[:1], job.requester.language) if whole else None

    async def _give_back(self, payment: Payment) -> None:
        """Telegram first: it refuses a second time, so a crash in between is mended by asking again."""
        charge = payment.name.removeprefix(f"{NAME}:")
        users = [key.removeprefix(f"{NAME}:") for key in payment.payers if key.startswith(f"{NAME}:")]
        if not any([await self._refund(int(user), charge) for user in users]):
            raise NoSuchPayment
        await self.desk.studio.unbuy(payment.name)

    async def _refund(self, user: int, charge: str) -> bool:
        """Whether the Stars are back with this person, now or since before."""
        try:
            await self.desk.voice.bot.refund_star_payment(user, charge)
        except BadRequest as error:
            log.info("Stars not given back", payment=charge, user=user, reason=error.message)
            return DONE_BEFORE in error.message.lower()
        log.info("Stars given back", payment=charge, user=user)
        return True

    def packs(self, language: str) -> InlineKeyboardMarkup:
        made = [
            button(
                messages.words("pack", language, credits=pack, stars=pack * self.price),
                Action("buy", 0, str(pack)),
            )
            for pack in PACKS
        ]
        return InlineKeyboardMarkup([[one] for one in made])

    async def invoice(self, place: Place, pack: str) -> None:
        """Anything that is not one of the packs is no button of ours."""
        if pack not in map(str, PACKS):
            return
        title = messages.words("invoice", place.language, credits=pack)
        await self.desk.voice.bot.send_invoice(
            place.chat,
            title,
            messages.words("invoice.about", place.language),
            f"credits:{pack}",
            CURRENCY,
            [LabeledPrice(title, int(pack) * self.price)],
            message_thread_id=place.thread,
        )

    async def check(self, query: PreCheckoutQuery, language: str) -> None:
        """An old invoice at another price is not taken."""
        fits = self._credits(query.invoice_payload, query.total_amount, query.currency) is not None
        refusal = None if fits else messages.words("invoice.old", language)
        await self.desk.voice.bot.answer_pre_checkout_query(query.id, ok=fits, error_message=refusal)

    async def book(self, message: Message, place: Place) -> None:
        """Paid: the credits are granted, or the Stars go back."""
        paid = message.successful_payment
        assert paid is not None, "only a message about a payment comes here"
        charge = paid.telegram_payment_charge_id
        bought = self._credits(paid.invoice_payload, paid.total_amount, paid.currency)
        if bought is None:
            log.warning("payment for nothing we offer", payment=charge, payload=paid.invoice_payload)
            await self._return_unbooked(int(place.requester.user), charge)
            return
        try:
            fresh = await self.desk.studio.buy(place.requester, bought, payment=f"{NAME}:{charge}")
        except Exception:  # whatever it was: nobody pays for nothing
            log.exception("payment not booked", payment=charge)
            await self._return_unbooked(int(place.requester.user), charge)
            return
        if fresh:
            await self.desk.tell(place, messages.words("bought", place.language, credits=bought))

    async def returned(self, charge: str) -> None:
        """Telegram tells that Stars went back, by us or by itself: the credits go too."""
        await self.desk.studio.unbuy(f"{NAME}:{charge}")

    def _refunds(self, payments: list[Payment], language: str) -> InlineKeyboardMarkup:
        made = [
            button(
                messages.words("button.refund", language, credits=payment.credits),
                Action("refund", payment.id),
            )
            for payment in payments
        ]
        return InlineKeyboardMarkup([[one] for one in made])

    def _credits(self, payload: str, amount: int, currency: str) -> int | None:
        found = PAYLOAD.fullmatch(payload)
        if found is None or currency != CURRENCY or int(found[1]) * self.price != amount:
            return None
        return int(found[1])

    async def _return_unbooked(self, user: int, charge: str) -> None:
        try:
            await self.desk.voice.bot.refund_star_payment(user, charge)
        except TelegramError as error:
            log.error("Stars not given back", payment=charge, user=user, reason=error.message)  # noqa: TRY400  (the reason is all there is)
