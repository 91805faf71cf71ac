"""The [telegram] table of the settings."""

from __future__ import annotations

import re

from bot.domain.errors import ConfigBroken
from bot.domain.setting_types import Count, Identifier, Port, Secret, Section

TOKEN_VARIABLE = "TELEGRAM_TOKEN"  # noqa: S105  (the name of the variable)


class TelegramSettings(Section, frozen=True):
    enabled: bool
    token: Secret
    admins: tuple[Identifier, ...]
    api: str
    local: bool
    webhook: str
    webhook_secret: Secret
    webhook_host: str
    webhook_port: Port
    stars: Count

    def checked_webhook_secret(self) -> str:
        secret = self.webhook_secret.reveal()
        if not re.fullmatch(r"[A-Za-z0-9_-]{24,256}", secret):
            problem = "should be 24 to 256 letters, digits, _ or -; try: openssl rand -hex 24"
            raise ConfigBroken("[telegram] webhook_secret", problem)
        return secret


def missing(settings: TelegramSettings) -> str | None:
    if not settings.enabled:
        return "switched off in the settings"
    return None if settings.token else f"no {TOKEN_VARIABLE}"
