"""/admin: the verbs of every chat and the terminal, for the application's own operators."""

# Annotations are read by discord.py with values that are known only here, so they stay unquoted.

from typing import Any

import discord
from discord import app_commands

from bot.admin.admin import VERBS
from bot.domain.errors import NotAllowed
from bot.frontends.discord.cards import Card, tame
from bot.frontends.discord.command_registration import register
from bot.frontends.discord.handlers import Desk
from bot.frontends.discord.interaction_context import Interaction
from bot.frontends.discord.responses import honest, tell

Line = app_commands.Range[str, 1, 500]


def add_ruling(tree: app_commands.CommandTree[Any], desk: Desk) -> None:
    ruling = Ruling(desk)
    register(tree, "admin", ruling.admin, line=ruling.offer)
    command = tree.get_command("admin")
    assert isinstance(command, app_commands.Command)
    command.default_permissions = discord.Permissions(manage_guild=True)  # who is an operator is asked again


class Ruling:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def admin(self, interaction: discord.Interaction[Any], line: Line) -> None:
        asker = await self._desk.asker(interaction)
        async with honest(interaction, asker.language):
            if not asker.requester.admin:
                raise NotAllowed("admin")
            answer = await self._desk.studio.admin.perform(line, asker.requester)
            await tell(interaction, Card(body=tame(answer.said(asker.language))))

    async def offer(self, interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
        """How the verbs are written, for operators only."""
        if interaction.user.id not in self._desk.operators:
            return []
        fitting = [verb for verb in VERBS.values() if typed.lower() in verb.usage]
        return [app_commands.Choice(name=verb.usage, value=verb.name) for verb in fitting[:25]]
