"""What the operator decided for this installation, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bot.domain.quota import Allowance, Caps, QuotaPlan, Tier, UploadLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorPolicy:
    """The settings that decide what the studio accepts, and at which price."""

    allowance: Allowance
    caps: Caps
    data_folder: Path
    min_free_disk: int
    tiers: tuple[Tier, ...] = ()
    uploads: UploadLimits = field(default_factory=UploadLimits)
    pools: Mapping[str, int] = field(default_factory=dict)
    admins_unlimited: bool = True
    engine_slots: int = 1
    local_platforms: frozenset[str] = frozenset()
    """The frontends whose users name files of this machine themselves, as the terminal's do."""
    platforms: tuple[str, ...] = ()
    """The names of all frontends, which begin the keys of users and chats: `name:42`."""

    @property
    def quota_plan(self) -> QuotaPlan:
        return QuotaPlan(
            base=self.allowance, tiers=self.tiers, pools=self.pools, admins_unlimited=self.admins_unlimited
        )
