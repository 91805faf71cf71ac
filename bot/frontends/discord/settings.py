"""The [discord] table of the settings, and the options of the frontend."""

from __future__ import annotations

from dataclasses import dataclass

from bot.domain.setting_types import Secret, Section

TOKEN_VARIABLE = "DISCORD_TOKEN"  # noqa: S105  (the name of the variable)


class DiscordSettings(Section, frozen=True):
    enabled: bool
    token: Secret
    sharded: bool
    nsfw: bool
    preview: bool


def missing(settings: DiscordSettings) -> str | None:
    if not settings.enabled:
        return "switched off in the settings"
    return None if settings.token else f"no {TOKEN_VARIABLE}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontendSettings:
    sharded: bool = False  # use one gateway connection per shard of the servers
    restricted: bool = False  # offer the making commands only in age-restricted channels
    preview: bool = False  # show a first picture while the music and the file are still in progress
    language: str = "en"  # for users whose own language has no translation
    update_interval: float = 20.0  # seconds between updates of the presence and the queue positions
