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

Makers = Mapping[str, Callable[[Studio], Frontend]]
"""How each chat is made, and made again should it die of a surprise."""


def makers(settings: Settings) -> Makers:
    """Of every chat that has what it needs."""
    known: Makers = {
        "discord": partial(_discord, settings),
        "telegram": partial(_telegram, settings.telegram),
    }
    missing = left_out(settings)
    return {name: make for name, make in known.items() if missing[name] is None}


def _discord(settings: Settings, studio: Studio) -> Frontend:
    from bot.frontends.discord.frontend import DiscordFrontend  # noqa: PLC0415  (loaded only where it is served)
    from bot.frontends.discord.settings import Manner  # noqa: PLC0415

    chosen = settings.discord
    manner = Manner(
        sharded=chosen.sharded,
        restricted=chosen.nsfw,
        preview=chosen.preview
        and settings.rules.after == "off",  # nothing is shown that is yet to be looked at
        language=messages.nearest(settings.studio.language),
    )
    return DiscordFrontend(studio, chosen.token.reveal(), manner)


def _telegram(chosen: TelegramSettings, studio: Studio) -> Frontend:
    from bot.frontends.telegram.frontend import Options, Telegram  # noqa: PLC0415
    from bot.frontends.telegram.updates import Webhook  # noqa: PLC0415  (loaded only where it is served)

    hook = None
    if chosen.webhook:
        secret = chosen.webhook_secret.reveal()
        if not re.fullmatch(r"[A-Za-z0-9_-]{24,256}", secret):
            problem = "should be 24 to 256 letters, digits, _ or -; try: openssl rand -hex 24"
            raise ConfigBroken("[telegram] webhook_secret", problem)
        hook = Webhook(
            address=chosen.webhook, secret=secret, host=chosen.webhook_host, port=chosen.webhook_port
        )
    numbers = [part.strip() for part in chosen.admins.split(",") if part.strip()]
    if not all(number.isdecimal() for number in numbers):
        raise ConfigBroken("[telegram] admins", "should be people's numbers, with commas between")
    options = Options(
        token=chosen.token.reveal(),
        admins=frozenset(map(int, numbers)),
        api=chosen.api,
        local=chosen.local,
        webhook=hook,
        stars=chosen.stars,
    )
    return Telegram(studio, options)


def left_out(settings: Settings) -> dict[str, str | None]:
    """Each chat, and why it does not start; None for one that does."""
    return {
        "discord": _why_not(settings.discord, "DISCORD_TOKEN"),
        "telegram": _why_not(settings.telegram, "TELEGRAM_TOKEN"),
    }


def _why_not(chat: DiscordSettings | TelegramSettings, variable: str) -> str | None:
    if not chat.enabled:
        return "switched off in the settings"
    return None if chat.token else f"no {variable}"
