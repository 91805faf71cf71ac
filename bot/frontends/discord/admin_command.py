"""/admin: the same admin verbs as in every other chat and in the terminal, for the bot's operators."""

# discord.py evaluates these annotations in this module, so they stay unquoted.

from typing import Any

import discord
from discord import app_commands

from bot.admin.admin import VERBS
from bot.domain.errors import NotAllowed
from bot.frontends.discord.cards import Card, escape_markup
from bot.frontends.discord.command_registration import register_command
from bot.frontends.discord.handlers import InteractionHandlers
from bot.frontends.discord.interaction_context import Interaction
from bot.frontends.discord.responses import explain_errors, respond

AdminLine = app_commands.Range[str, 1, 500]


def add_admin_command(tree: app_commands.CommandTree[Any], handlers: InteractionHandlers) -> None:
    admin_command = AdminCommand(handlers)
    register_command(tree, "admin", admin_command.admin, line=admin_command.complete_verb)
    command = tree.get_command("admin")
    assert isinstance(command, app_commands.Command)
    command.default_permissions = discord.Permissions(
        manage_guild=True
    )  # the command checks again who is an operator


class AdminCommand:
    def __init__(self, handlers: InteractionHandlers) -> None:
        self._handlers = handlers

    async def admin(self, interaction: discord.Interaction[Any], line: AdminLine) -> None:
        asker = await self._handlers.load_asker(interaction)
        async with explain_errors(interaction, asker.language):
            if not asker.requester.admin:
                raise NotAllowed("admin")
            answer = await self._handlers.studio.administer(line, asker.viewer)
            await respond(interaction, Card(body=escape_markup(answer.to_text(asker.language))))

    async def complete_verb(self, interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
        """Suggest the verbs with their arguments, to operators only."""
        if interaction.user.id not in self._handlers.operators:
            return []
        matching = [verb for verb in VERBS.values() if typed.lower() in verb.usage]
        return [app_commands.Choice(name=verb.usage, value=verb.name) for verb in matching[:25]]
