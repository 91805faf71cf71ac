"""The tier that a role of a server gives to its members, as set by the admins of the server."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bot.domain.errors import NotAllowed, TierNotGrantable
from bot.domain.quota import Tier
from bot.store.store import AdminTransaction, Store
from bot.studio.access import AccessControl, Viewer
from generation.request import check_choice

VERB = "server tier"


class RoleTiers:
    """An operator may give any tier to any role, an admin of a server the open tiers to its roles."""

    def __init__(self, store: Store, tiers: Sequence[Tier], *, access: AccessControl) -> None:
        self._store = store
        self._tiers = {tier.name: tier for tier in tiers}
        self._access = access

    async def grantable_tiers(self, viewer: Viewer) -> tuple[str, ...]:
        """The tiers that this viewer may give to roles."""
        if not await self._access.is_community_admin(viewer):
            return ()
        return tuple(name for name, tier in self._tiers.items() if tier.open or viewer.requester.admin)

    async def set_role_tier(self, role: str, tier: str | None, viewer: Viewer) -> None:
        """`role` is "discord:9"; None removes its tier.

        Raises NotAllowed, also for a role of another server, UnknownChoice or TierNotGrantable.
        """
        await self._access.require_community_admin(viewer, VERB)
        if not (viewer.requester.admin or viewer.has_role(role)):
            raise NotAllowed(VERB)
        if tier is not None:
            check_choice("tier", tier, tuple(self._tiers))
        grantable = await self.grantable_tiers(viewer)

        def write(transaction: AdminTransaction) -> None:
            before = transaction.role_tier(role)
            for name in filter(None, (before, tier)):
                if name in self._tiers and name not in grantable:
                    raise TierNotGrantable(name)
            transaction.set_role_tier(role, tier)
            details = {"role": role, "tier": tier}
            transaction.add_audit_entry(admin=viewer.requester.key, verb=VERB, details=details)

        await self._store.run_admin(write, read_only=False)

    async def role_tiers(self, roles: Iterable[str], viewer: Viewer) -> dict[str, str]:
        """The tiers of those of the roles whose tier the viewer may change."""
        if not await self._access.is_community_admin(viewer):
            return {}
        known = (await self._store.admin_rules()).role_tiers
        is_own = viewer.has_role
        return {
            role: known[role] for role in roles if role in known and (viewer.requester.admin or is_own(role))
        }
