"""A user's account: credits, payments, settings, linked accounts and personal data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bot.domain.errors import NoSuchPayment
from bot.domain.jobs import Requester
from bot.domain.quota import Balance
from bot.maintenance.retention import RetentionSweeper
from bot.store.store import DeletedData, LedgerEntry, LinkResult, Payment, Store
from bot.studio.access import AccessControl


class Accounts:
    def __init__(self, *, store: Store, access: AccessControl, sweeper: RetentionSweeper) -> None:
        self._store = store
        self._access = access
        self._sweeper = sweeper

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

    async def payment(self, name: str) -> Payment:
        """Raises NoSuchPayment."""
        found = await self._store.find_payment(name)
        if found is None:
            raise NoSuchPayment
        return found

    async def reverse_purchase(self, payment: str) -> None:
        """Take back what is left of the credits of a payment that was returned to the user."""
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

    async def link_account(self, requester: Requester, code: str) -> LinkResult:
        """Create a code for "new" or no code; link the account that created any other code.

        Raises InvalidLinkCode.
        """
        if code.strip().lower() in {"", "new"}:
            return LinkResult(code=await self._store.create_link_code(requester.key))
        return LinkResult(other=await self._store.link(requester.key, code))

    async def export(self, requester: Requester) -> dict[str, Any]:
        """Everything that is stored about the user, as data for a file."""
        return await self._store.export(requester.key)

    async def delete_personal_data(self, requester: Requester) -> DeletedData:
        """Delete the user's prompts, clips and settings. The used part of the allowance stays used."""
        return await self._sweeper.delete_personal_data(requester.key)
