"""An interaction as plain data: who asks, where, and how to answer."""

from __future__ import annotations

from typing import Any

import discord

from bot.domain.jobs import ReplyTo, Requester, community_key
from bot.frontends.common.preferences import preferred_language
from bot.frontends.common.upload_limit import UPLOAD_LIMIT_FACTOR
from bot.studio.studio import Viewer

Interaction = discord.Interaction[Any]

TOKEN_LIFETIME = 14.5 * 60
"""Seconds for which a token is used. Discord documents 15 minutes and sometimes ends a token earlier."""
PLATFORM = "discord"
SERVER_COMMAND = "server"
"""The command for the admins of a server, who can also give it to others in the server's own settings."""


def language_of(
    interaction: Interaction, own: str | None = None, shared: str | None = None, *, default: str = "en"
) -> str:
    """Return the language to answer in; `own` and `shared` are what the user and the server chose."""
    return preferred_language(own, shared, str(interaction.locale), default=default)


def requester_of(interaction: Interaction, *, operators: frozenset[int]) -> Requester:
    user = interaction.user
    roles = user.roles if isinstance(user, discord.Member) else []
    return Requester(
        platform=PLATFORM,
        user=str(user.id),
        name=user.display_name,
        roles=tuple(str(role.id) for role in roles),
        community=community_key(PLATFORM, interaction.guild_id),
        admin=user.id in operators,
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
    """Whether only the user installed the bot, not the server: then only the token can answer."""
    return interaction.guild_id is not None and not interaction.is_guild_integration()


def viewer_of(interaction: Interaction, *, operators: frozenset[int] = frozenset()) -> Viewer:
    """The user with what Discord says about them here: nothing in it comes from the user."""

    async def is_moderator() -> bool:
        return interaction.guild_id is not None and interaction.permissions.manage_messages

    async def is_server_admin() -> bool:
        """Discord lets nobody use /server whom the server's admins do not allow to."""
        allowed = interaction.permissions.manage_guild or _root_command(interaction) == SERVER_COMMAND
        return interaction.guild_id is not None and allowed

    return Viewer(
        requester=requester_of(interaction, operators=operators),
        chat=str(interaction.channel_id or ""),
        parent_chat=str(getattr(interaction.channel, "parent_id", None) or ""),
        community_settings_key=server_settings_key(interaction.guild_id),
        private=bool(interaction.extras.get("private")),
        adult_place=bool(getattr(interaction.channel, "nsfw", False)),
        can_see=lambda chat: can_see_channel(interaction, chat),
        is_moderator=is_moderator,
        is_community_admin=is_server_admin,
        has_role=lambda role: has_role(interaction, role),
    )


def server_settings_key(guild: int | None) -> str:
    """Return the key under which a server's settings are stored; empty in a direct message.

    It differs from the community's key, as that of a server is also the key of its @everyone role.
    """
    return f"server:{PLATFORM}:{guild}" if guild else ""


def role_key(number: int) -> str:
    return f"{PLATFORM}:{number}"


def has_role(interaction: Interaction, role: str) -> bool:
    """Whether the role is one of this server."""
    guild = interaction.guild
    return guild is not None and role in {role_key(one.id) for one in guild.roles}


def can_see_channel(interaction: Interaction, chat: str) -> bool:
    """Whether the member can see this channel of the server now.

    False for a channel that is gone or that the bot does not see, and for a private thread, whose members the
    bot does not know, unless the member manages all threads.
    """
    guild, member = interaction.guild, interaction.user
    if guild is None or not isinstance(member, discord.Member) or not (chat.isascii() and chat.isdecimal()):
        return False
    channel = guild.get_channel_or_thread(int(chat))
    if channel is None or (isinstance(channel, discord.Thread) and channel.parent is None):
        return False
    permissions = channel.permissions_for(member)
    if isinstance(channel, discord.Thread) and channel.is_private() and not permissions.manage_threads:
        return False
    return permissions.view_channel


def _root_command(interaction: Interaction) -> str:
    command = interaction.command
    return command.qualified_name.split()[0] if isinstance(command, discord.app_commands.Command) else ""
