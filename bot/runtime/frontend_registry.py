"""Which chats can be served, and how each of them is made from the settings."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial

from bot.domain.errors import ConfigBroken
from bot.i18n import messages
from bot.pipeline.delivery import Frontend
from bot.runtime.settings import DiscordSettings, Settings, TelegramSettings
from bot.studio.studio import Studio

FrontendFactories = Mapping[str, Callable[[Studio], Frontend]]
"""How each chat is made, and made again should it die of a surprise."""


def frontend_factories(settings: Settings) -> FrontendFactories:
    """Of every chat that has what it needs."""
    factories: FrontendFactories = {
        "discord": partial(_create_discord, settings),
        "telegram": partial(_create_telegram, settings.telegram),
    }
    reasons = unavailable_chats(settings)
    return {name: make for name, make in factories.items() if reasons[name] is None}


def _create_discord(settings: Settings, studio: Studio) -> Frontend:
    from bot.frontends.discord.frontend import DiscordFrontend  # noqa: PLC0415  (loaded only where it is served)
    from bot.frontends.discord.settings import FrontendSettings  # noqa: PLC0415

    chosen = settings.discord
    manner = FrontendSettings(
        sharded=chosen.sharded,
        restricted=chosen.nsfw,
        preview=chosen.preview
        and settings.rules.after == "off",  # nothing is shown that is yet to be looked at
        language=messages.nearest_language(settings.studio.language),
    )
    return DiscordFrontend(studio, chosen.token.reveal(), manner)


def _create_telegram(chosen: TelegramSettings, studio: Studio) -> Frontend:
    from bot.frontends.telegram.frontend import Options, Telegram  # noqa: PLC0415
    from bot.frontends.telegram.updates import Webhook  # noqa: PLC0415  (loaded only where it is served)

    webhook = None
    if chosen.webhook:
        secret = chosen.webhook_secret.reveal()
        if not re.fullmatch(r"[A-Za-z0-9_-]{24,256}", secret):
            problem = "should be 24 to 256 letters, digits, _ or -; try: openssl rand -hex 24"
            raise ConfigBroken("[telegram] webhook_secret", problem)
        webhook = Webhook(
            url=chosen.webhook, secret=secret, host=chosen.webhook_host, port=chosen.webhook_port
        )
    numbers = [part.strip() for part in chosen.admins.split(",") if part.strip()]
    if not all(number.isdecimal() for number in numbers):
        raise ConfigBroken("[telegram] admins", "should be people's numbers, with commas between")
    options = Options(
        token=chosen.token.reveal(),
        admins=frozenset(map(int, numbers)),
        api_url=chosen.api,
        local_server=chosen.local,
        webhook=webhook,
        stars_per_credit=chosen.stars,
    )
    return Telegram(studio, options)


def unavailable_chats(settings: Settings) -> dict[str, str | None]:
    """Each chat, and why it does not start; None for one that does."""
    return {
        "discord": _unavailable_reason(settings.discord, "DISCORD_TOKEN"),
        "telegram": _unavailable_reason(settings.telegram, "TELEGRAM_TOKEN"),
    }


def _unavailable_reason(chat: DiscordSettings | TelegramSettings, variable: str) -> str | None:
    if not chat.enabled:
        return "switched off in the settings"
    return None if chat.token else f"no {variable}"
