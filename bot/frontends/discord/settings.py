"""How this bot behaves on Discord, as its operator decided."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontendSettings:
    sharded: bool = False  # several connections share the servers
    restricted: bool = False  # making is offered only in places that Discord marks as for adults
    preview: bool = False  # a first picture is shown while music and file are still being made
    language: str = "en"  # for whoever's own is not spoken here
    update_interval: float = 20.0  # seconds between looks at the queue, for the presence and the places told
