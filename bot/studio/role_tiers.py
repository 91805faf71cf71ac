"""Which tier a role of a chat puts its people in: given by those who run a server, as far as they may."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from bot.domain.errors import TierKept
from bot.domain.jobs import Requester
from bot.domain.quota import Tier
from bot.store import admin_state
from bot.store.store import Store
from generation.request import check_choice


class Roles:
    def __init__(self, store: Store, tiers: Sequence[Tier]) -> None:
        self._store = store
        self._tiers = {tier.name: tier for tier in tiers}

    def offered(self, requester: Requester) -> tuple[str, ...]:
        """Whoever runs Matinee gives any tier; whoever runs a server, those that are open to them."""
        return tuple(name for name, tier in self._tiers.items() if tier.open or requester.admin)

    async def give(self, role: str, tier: str | None, requester: Requester) -> None:
        """`role` is "discord:9"; None takes its tier away. Raises UnknownChoice or TierKept."""
        if tier is not None:
            check_choice("tier", tier, tuple(self._tiers))
        mine = self.offered(requester)

        def act(c: sqlite3.Connection, now: float) -> None:
            before = admin_state.rules(c).role_tiers.get(role)
            for name in filter(None, (before, tier)):
                if name in self._tiers and name not in mine:
                    raise TierKept(name)
            admin_state.set_role(c, role, tier)
            details = {"role": role, "tier": tier}
            admin_state.write_down(c, admin=requester.key, verb="server tier", details=details, now=now)

        await self._store.act(act)

    async def given(self, roles: Iterable[str]) -> dict[str, str]:
        known = (await self._store.rules()).role_tiers
        return {role: known[role] for role in roles if role in known}
