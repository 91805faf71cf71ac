"""The Discord client: dispatches interactions to their handlers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import discord
from discord import app_commands

from bot.domain.jobs import Action
from bot.frontends.common.gc_tuning import freeze_startup_objects
from bot.frontends.discord.admin_command import add_admin_command
from bot.frontends.discord.buttons import ActionButton, ActionSelect
from bot.frontends.discord.command_translations import CommandTranslator
from bot.frontends.discord.handlers import InteractionHandlers
from bot.frontends.discord.info_commands import add_info_commands
from bot.frontends.discord.interaction_context import Interaction, language_of
from bot.frontends.discord.make_commands import MENU_COMMAND, add_make_commands
from bot.frontends.discord.modals import edit_modal, modal_action, modal_values
from bot.frontends.discord.responses import AckPriority, acknowledge, explain_errors, log
from bot.frontends.discord.sender import Sender
from bot.frontends.discord.server_command import REQUIRED_PERMISSIONS, add_server_commands
from bot.frontends.discord.settings import FrontendSettings
from bot.frontends.discord.status_order import StatusOrder
from bot.studio.studio import REVIEW_VERBS, Studio

MAX_CONNECTIONS = 24
"""Connections to Discord that are kept open and shared; opening one costs a TLS handshake."""

__all__ = ["AutoShardedMatinee", "Matinee", "create_client"]

OPERATOR_ROLES = frozenset({discord.TeamMemberRole.admin, discord.TeamMemberRole.developer})
"""The roles in the application's team that make an operator."""
PUBLIC_COMMANDS = frozenset({"video", "image", "animate", "music", MENU_COMMAND})
"""Commands answered in public, unless the user asks for privacy; all other answers only the user sees."""
MESSAGE_UPDATE_VERBS = frozenset({"cancel", "delete", "again"})
PRIVATE_VERBS = frozenset({"recipe", "report", "forget", "appeal", "link", "nolink", *REVIEW_VERBS})


class Tree(app_commands.CommandTree[Any]):
    """Acknowledges every command before anything else is awaited."""

    async def interaction_check(self, interaction: Interaction, /) -> bool:
        if interaction.type is discord.InteractionType.autocomplete:
            return True
        command = interaction.command
        name = command.qualified_name if command else ""
        wants_privacy = bool(getattr(interaction.namespace, "private", False))
        return await acknowledge(interaction, private=name not in PUBLIC_COMMANDS or wants_privacy)

    async def on_error(self, interaction: Interaction, error: app_commands.AppCommandError, /) -> None:
        """Explain errors that a command did not handle."""
        cause = error.original if isinstance(error, app_commands.CommandInvokeError) else error
        async with explain_errors(interaction, language_of(interaction)):
            raise cause


class MatineeClientMixin:
    """What the plain and the sharded client share."""

    handlers: InteractionHandlers
    tree: Tree
    ack_priority: AckPriority

    def prepare(self, studio: Studio, settings: FrontendSettings) -> None:
        assert isinstance(self, discord.Client)
        self.tree = Tree(
            self,
            allowed_contexts=app_commands.AppCommandContext(
                guild=True, dm_channel=True, private_channel=True
            ),
            allowed_installs=app_commands.AppInstallationType(guild=True, user=True),
        )
        self.ack_priority = AckPriority()
        self.handlers = InteractionHandlers(studio, Sender(self), StatusOrder(), settings)
        add_make_commands(self.tree, self.handlers, restricted=settings.restricted)
        add_info_commands(self.tree, self.handlers)
        add_server_commands(self.tree, self.handlers)
        add_admin_command(self.tree, self.handlers)

    async def setup_hook(self) -> None:
        assert isinstance(self, discord.Client)
        self.add_dynamic_items(ActionButton, ActionSelect)
        self.handlers.operators = _owner_ids(self.application)
        await self.tree.set_translator(CommandTranslator())
        self.handlers.command_ids = {command.name: command.id for command in await self.tree.sync()}
        freeze_startup_objects()

    async def handle_press(self, interaction: Interaction, action: Action) -> None:
        """Handle a button or select, however old its message is."""
        if action.verb == "edit":
            await self._open_edit_modal(interaction, action)
            return
        update = action.verb in MESSAGE_UPDATE_VERBS
        source = interaction.message
        private = action.verb in PRIVATE_VERBS or (source is not None and source.flags.ephemeral)
        if await acknowledge(interaction, private=private, update=update):
            async with explain_errors(interaction, language_of(interaction)):
                await self._dispatch_press(interaction, action)

    async def _dispatch_press(self, interaction: Interaction, action: Action) -> None:
        verbs: dict[str, Callable[[Interaction, int], Awaitable[None]]] = {
            "cancel": self.handlers.cancel,
            "recipe": self.handlers.recipe,
            "delete": self.handlers.delete,
            "again": self.handlers.send_again,
            "report": self.handlers.report,
            "forget": self.handlers.forget,
            "appeal": self.handlers.appeal,
            "link": self.handlers.confirm_link,
            "nolink": self.handlers.refuse_link,
        }
        if action.verb in REVIEW_VERBS:
            await self.handlers.decide(interaction, action)
        elif verb := verbs.get(action.verb):
            await verb(interaction, action.job)
        else:
            await self.handlers.start_pressed_job(interaction, action)

    async def _open_edit_modal(self, interaction: Interaction, action: Action) -> None:
        """Open the edit form.

        A form must be the first response to a press, so the job is loaded before any acknowledgement.
        """
        async with explain_errors(interaction, language_of(interaction)):
            asker = await self.handlers.load_asker(interaction)
            async with explain_errors(interaction, asker.language):
                job = await self.handlers.studio.recipe(action.job, asker.viewer)
                await interaction.response.send_modal(edit_modal(job, asker.language))

    async def on_interaction(self, interaction: Interaction) -> None:
        if interaction.type is not discord.InteractionType.modal_submit:
            return
        action = modal_action(interaction)
        source = interaction.message
        private = source is not None and source.flags.ephemeral
        if action is None or not await acknowledge(interaction, private=private):
            return
        async with explain_errors(interaction, language_of(interaction)):
            await self.handlers.submit_edited(interaction, action.job, modal_values(interaction))

    async def on_guild_available(self, guild: discord.Guild) -> None:
        self._log_missing_permissions(guild)

    async def on_guild_join(self, guild: discord.Guild) -> None:
        self._log_missing_permissions(guild)

    def _log_missing_permissions(self, guild: discord.Guild) -> None:
        missing = missing_permissions(guild)
        if missing:
            log.warning("permissions are missing", server=guild.name, missing=missing)


class Matinee(MatineeClientMixin, discord.Client):
    pass


class AutoShardedMatinee(MatineeClientMixin, discord.AutoShardedClient):
    pass


def create_client(studio: Studio, settings: FrontendSettings, **options: Any) -> Matinee | AutoShardedMatinee:
    intents = discord.Intents(guilds=True)
    options.setdefault("connector", aiohttp.TCPConnector(limit=MAX_CONNECTIONS))
    client_class = AutoShardedMatinee if settings.sharded else Matinee
    client = client_class(intents=intents, allowed_mentions=discord.AllowedMentions.none(), **options)
    client.prepare(studio, settings)
    return client


def missing_permissions(guild: discord.Guild) -> list[str]:
    granted = guild.me.guild_permissions
    return [name for name in REQUIRED_PERMISSIONS if not getattr(granted, name)]


def _owner_ids(application: discord.AppInfo | None) -> frozenset[int]:
    """Return the operators: the owner of the application, or those members of its team who may change it.

    A member who was only invited, or who may only read, is none. The owner of a team has no role.
    """
    if application is None:
        return frozenset()
    team = application.team
    if team is None:
        return frozenset({application.owner.id})
    return frozenset(
        member.id
        for member in team.members
        if member.membership_state is discord.TeamMembershipState.accepted
        and (member.role in OPERATOR_ROLES or member.id == team.owner_id)
    )
