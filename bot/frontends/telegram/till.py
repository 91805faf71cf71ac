"""Credits for Telegram Stars, where the operator set a price: every payment is one ledger row, once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from telegram import InlineKeyboardMarkup, LabeledPrice
from telegram.error import TelegramError

from bot import messages
from bot.frontends.telegram.keyboards import button
from bot.frontends.telegram.places import NAME
from bot.job import Action

if TYPE_CHECKING:
    from telegram import Message, PreCheckoutQuery

    from bot.frontends.telegram.places import Place
    from bot.frontends.telegram.voice import Voice
    from bot.studio import Studio

PACKS = (10, 50, 100)
"""Credits that can be bought at once."""
CURRENCY = "XTR"
PAYLOAD = re.compile(r"credits:(\d{1,6})")

log = structlog.get_logger(__name__)


@dataclass
class Till:
    studio: Studio
    voice: Voice
    price: int  # Stars a credit

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
        await self.voice.bot.send_invoice(
            place.chat,
            title,
            messages.words("invoice.about", place.language),
            f"credits:{pack}",
            CURRENCY,
            [LabeledPrice(title, int(pack) * self.price)],
            message_thread_id=place.thread,
        )

    async def check(self, query: PreCheckoutQuery) -> None:
        """An old invoice at another price is not taken."""
        fits = self._credits(query.invoice_payload, query.total_amount, query.currency) is not None
        refusal = None if fits else messages.words("invoice.old")
        await self.voice.bot.answer_pre_checkout_query(query.id, ok=fits, error_message=refusal)

    async def book(self, message: Message, place: Place) -> None:
        """Paid: the credits are granted, or the Stars go back."""
        paid = message.successful_payment
        assert paid is not None, "only a message about a payment comes here"
        charge = paid.telegram_payment_charge_id
        bought = self._credits(paid.invoice_payload, paid.total_amount, paid.currency)
        if bought is None:
            log.warning("payment for nothing we offer", payment=charge, payload=paid.invoice_payload)
            await self._give_back(int(place.requester.user), charge)
            return
        try:
            fresh = await self.studio.buy(place.requester, bought, payment=f"{NAME}:{charge}")
        except Exception:  # whatever it was: nobody pays for nothing
            log.exception("payment not booked", payment=charge)
            await self._give_back(int(place.requester.user), charge)
            return
        if fresh:
            text = messages.words("bought", place.language, credits=bought)
            await self.voice.reply(place.reply_to(0), text)

    def _credits(self, payload: str, amount: int, currency: str) -> int | None:
        found = PAYLOAD.fullmatch(payload)
        if found is None or currency != CURRENCY or int(found[1]) * self.price != amount:
            return None
        return int(found[1])

    async def _give_back(self, user: int, charge: str) -> None:
        try:
            await self.voice.bot.refund_star_payment(user, charge)
        except TelegramError as error:
            log.error("Stars not given back", payment=charge, user=user, reason=error.message)  # noqa: TRY400  (the reason is all there is)
