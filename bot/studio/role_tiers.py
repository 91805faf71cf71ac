"""The tier that a role of a server gives to its members, as set by the admins of the server."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bot.domain.errors import TierNotGrantable
from bot.domain.jobs import Requester
from bot.domain.quota import Tier
from bot.store.store import AdminTransaction, Store
from generation.request import check_choice


class RoleTiers:
    def __init__(self, store: Store, tiers: Sequence[Tier]) -> None:
        self._store = store
        self._tiers = {tier.name: tier for tier in tiers}

    def grantable_tiers(self, requester: Requester) -> tuple[str, ...]:
        """An operator may grant any tier; admins of a server only the open ones."""
        return tuple(name for name, tier in self._tiers.items() if tier.open or requester.admin)

    async def set_tier(self, role: str, tier: str | None, requester: Requester) -> None:
        """`role` is "discord:9"; None removes its tier. Raises UnknownChoice or TierNotGrantable."""
        if tier is not None:
            check_choice("tier", tier, tuple(self._tiers))
        grantable = self.grantable_tiers(requester)

        def write(transaction: AdminTransaction) -> None:
            before = transaction.role_tier(role)
            for name in filter(None, (before, tier)):
                if name in self._tiers and name not in grantable:
                    raise TierNotGrantable(name)
            transaction.set_role_tier(role, tier)
            details = {"role": role, "tier": tier}
            transaction.add_audit_entry(admin=requester.key, verb="server tier", details=details)

        await self._store.run_admin(write, read_only=False)

    async def tiers_of(self, roles: Iterable[str]) -> dict[str, str]:
        known = (await self._store.admin_rules()).role_tiers
        return {role: known[role] for role in roles if role in known}
