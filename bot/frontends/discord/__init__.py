"""Discord: slash commands, buttons and cards. Importing this package does not import discord.py."""

from __future__ import annotations

import re

from bot.domain.frontend import Frontend
from bot.frontends.descriptor import FrontendContext, FrontendDescriptor
from bot.frontends.discord.settings import TOKEN_VARIABLE, DiscordSettings, FrontendSettings, missing


def _create(context: FrontendContext) -> Frontend:
    from bot.frontends.discord.frontend import DiscordFrontend  # noqa: PLC0415  (imports discord.py)

    chosen: DiscordSettings = context.settings
    options = FrontendSettings(
        sharded=chosen.sharded,
        restricted=chosen.nsfw,
        preview=chosen.preview and not context.inspects_clips,
        language=context.language,
    )
    return DiscordFrontend(context.studio, chosen.token.reveal(), options)


FRONTEND = FrontendDescriptor(
    name="discord",
    settings=DiscordSettings,
    secrets={"token": TOKEN_VARIABLE},
    create=_create,
    missing=missing,
    deduplicates_sends=True,
    reports_readiness=True,
    admin_chat_pattern=r"[0-9]{1,20}",
    admin_chat_example="discord:123",
    packages=("discord.py",),
    quiet_loggers=("discord",),
    token_patterns=(
        re.compile(r"\b[\w-]{23,28}\.[\w-]{6,7}\.[\w-]{27,}"),
        re.compile(r"\b(?:webhooks|interactions)/\d+/[\w-]{10,}"),  # the token of one interaction
    ),
)
