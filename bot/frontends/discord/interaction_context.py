"""Who asks, from where, and how the answer gets back: an interaction as our own plain data."""

from __future__ import annotations

from typing import Any

import discord

from bot.domain.jobs import ReplyTo, Requester, community_key
from bot.frontends.common.preferences import preferred_language
from bot.frontends.common.upload_limit import UPLOAD_LIMIT_FACTOR

Interaction = discord.Interaction[Any]

TOKEN_LIFETIME = 14.5 * 60
"""Seconds that a token is trusted; Discord says fifteen minutes, and sometimes ends them early."""
PLATFORM = "discord"


def language_of(
    interaction: Interaction, own: str | None = None, shared: str | None = None, *, default: str = "en"
) -> str:
    """Return the language to answer in; `own` and `shared` are what the user and the server chose."""
    return preferred_language(own, shared, str(interaction.locale), default=default)


def requester_of(interaction: Interaction, *, operators: frozenset[int], language: str) -> Requester:
    person = interaction.user
    roles = person.roles if isinstance(person, discord.Member) else []
    return Requester(
        platform=PLATFORM,
        user=str(person.id),
        name=person.display_name,
        roles=tuple(str(role.id) for role in roles),
        community=community_key(PLATFORM, interaction.guild_id),
        admin=person.id in operators,
        language=language,
    )


def reply_to_of(interaction: Interaction, **facts: Any) -> ReplyTo:
    return ReplyTo(
        platform=PLATFORM,
        chat=str(interaction.channel_id or ""),
        status=str(interaction.extras.get("status") or ""),
        token=interaction.token,
        token_until=interaction.created_at.timestamp() + TOKEN_LIFETIME,
        limit=int(interaction.filesize_limit * UPLOAD_LIMIT_FACTOR),
        private=bool(interaction.extras.get("private")),
        facts={"app": str(interaction.application_id), **facts},
    )


def is_user_install(interaction: Interaction) -> bool:
    """Somebody brought Matinee along into a server that has not invited it: only the token leads back."""
    return interaction.guild_id is not None and not interaction.is_guild_integration()


def is_moderator(interaction: Interaction) -> bool:
    return interaction.guild_id is not None and interaction.permissions.manage_messages
