"""The Discord client: what it listens to, and which desk each thing goes to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import discord
from discord import app_commands

from bot.domain.jobs import Action
from bot.frontends.common.gc_tuning import settle_down
from bot.frontends.discord import CONNECTIONS
from bot.frontends.discord.admin_command import add_ruling
from bot.frontends.discord.buttons import Pick, Press
from bot.frontends.discord.command_translations import CommandWords
from bot.frontends.discord.handlers import Desk
from bot.frontends.discord.info_commands import add_looking
from bot.frontends.discord.interaction_context import Interaction, language_of
from bot.frontends.discord.make_commands import MENU, add_making
from bot.frontends.discord.modals import edit_form, edited, form_action, form_answers
from bot.frontends.discord.responses import Rush, acknowledge, honest, log
from bot.frontends.discord.sender import Sender
from bot.frontends.discord.server_command import NEEDED, add_server
from bot.frontends.discord.settings import Manner
from bot.frontends.discord.status_order import Board
from bot.studio.studio import DECISIONS, Studio

__all__ = ["AutoShardedMatinee", "Matinee", "client_for"]

IN_PUBLIC = frozenset({"video", "image", "animate", "music", MENU})
"""Commands that everybody sees, unless the person asks for privacy; the others answer the asker alone."""
UPDATES = frozenset({"cancel", "delete"})
ALONE = frozenset({"recipe", "report", "forget", "appeal", *DECISIONS})


class Tree(app_commands.CommandTree[Any]):
    """Acknowledges every command before anything of ours is awaited."""

    async def interaction_check(self, interaction: Interaction, /) -> bool:
        if interaction.type is discord.InteractionType.autocomplete:
            return True
        command = interaction.command
        name = command.qualified_name if command else ""
        wants_privacy = bool(getattr(interaction.namespace, "private", False))
        return await acknowledge(interaction, private=name not in IN_PUBLIC or wants_privacy)

    async def on_error(self, interaction: Interaction, error: app_commands.AppCommandError, /) -> None:
        """Whatever a command did not tell itself."""
        cause = error.original if isinstance(error, app_commands.CommandInvokeError) else error
        async with honest(interaction, language_of(interaction)):
            raise cause


class Listening:
    """What both kinds of client share."""

    desk: Desk
    tree: Tree
    rush: Rush

    def prepare(self, studio: Studio, manner: Manner) -> None:
        assert isinstance(self, discord.Client)
        self.tree = Tree(
            self,
            allowed_contexts=app_commands.AppCommandContext(
                guild=True, dm_channel=True, private_channel=True
            ),
            allowed_installs=app_commands.AppInstallationType(guild=True, user=True),
        )
        self.rush = Rush()
        self.desk = Desk(studio, Sender(self), Board(), manner)
        add_making(self.tree, self.desk, restricted=manner.restricted)
        add_looking(self.tree, self.desk)
        add_server(self.tree, self.desk)
        add_ruling(self.tree, self.desk)

    async def setup_hook(self) -> None:
        assert isinstance(self, discord.Client)
        self.add_dynamic_items(Press, Pick)
        self.desk.operators = _operators(self.application)
        await self.tree.set_translator(CommandWords())
        self.desk.commands = {command.name: command.id for command in await self.tree.sync()}
        settle_down()

    async def pressed(self, interaction: Interaction, action: Action) -> None:
        """A button or select, however old the message it stands on."""
        if action.verb == "edit":
            await self._open_form(interaction, action)
            return
        update = action.verb in UPDATES
        source = interaction.message
        private = action.verb in ALONE or (source is not None and source.flags.ephemeral)
        if await acknowledge(interaction, private=private, update=update):
            async with honest(interaction, language_of(interaction)):
                await self._answer_press(interaction, action)

    async def _answer_press(self, interaction: Interaction, action: Action) -> None:
        verbs: dict[str, Callable[[Interaction, int], Awaitable[None]]] = {
            "cancel": self.desk.cancel,
            "recipe": self.desk.recipe,
            "delete": self.desk.delete,
            "report": self.desk.report,
            "forget": self.desk.forget,
            "appeal": self.desk.appeal,
        }
        if action.verb in DECISIONS:
            await self.desk.decide(interaction, action)
        elif verb := verbs.get(action.verb):
            await verb(interaction, action.job)
        else:
            await self.desk.pressed(interaction, action)

    async def _open_form(self, interaction: Interaction, action: Action) -> None:
        """A form cannot be acknowledged first; one look into the database comes before it."""
        async with honest(interaction, language_of(interaction)):
            asker = await self.desk.asker(interaction)
            async with honest(interaction, asker.language):
                job = await self.desk.visible(action.job, asker, interaction)
                await interaction.response.send_modal(edit_form(job, asker.language))

    async def on_interaction(self, interaction: Interaction) -> None:
        if interaction.type is not discord.InteractionType.modal_submit:
            return
        action = form_action(interaction)
        source = interaction.message
        private = source is not None and source.flags.ephemeral
        if action is None or not await acknowledge(interaction, private=private):
            return
        async with honest(interaction, language_of(interaction)):
            asker = await self.desk.asker(interaction)
            async with honest(interaction, asker.language):
                job = await self.desk.visible(action.job, asker, interaction)
                await self.desk.film(interaction, edited(job, form_answers(interaction)), parent=job.id)

    async def on_guild_available(self, guild: discord.Guild) -> None:
        self._look_around(guild)

    async def on_guild_join(self, guild: discord.Guild) -> None:
        self._look_around(guild)

    def _look_around(self, guild: discord.Guild) -> None:
        lacking = missing_permissions(guild)
        if lacking:
            log.warning("permissions are missing", server=guild.name, missing=lacking)


class Matinee(Listening, discord.Client):
    pass


class AutoShardedMatinee(Listening, discord.AutoShardedClient):
    pass


def client_for(studio: Studio, manner: Manner, **options: Any) -> Matinee | AutoShardedMatinee:
    intents = discord.Intents(guilds=True)
    options.setdefault("connector", aiohttp.TCPConnector(limit=CONNECTIONS))
    kind = AutoShardedMatinee if manner.sharded else Matinee
    client = kind(intents=intents, allowed_mentions=discord.AllowedMentions.none(), **options)
    client.prepare(studio, manner)
    return client


def missing_permissions(guild: discord.Guild) -> list[str]:
    granted = guild.me.guild_permissions
    return [name for name in NEEDED if not getattr(granted, name)]


def _operators(application: discord.AppInfo | None) -> frozenset[int]:
    """Whoever owns the bot, alone or as a team, runs the house."""
    if application is None:
        return frozenset()
    if application.team is not None:
        return frozenset(member.id for member in application.team.members)
    return frozenset({application.owner.id})
