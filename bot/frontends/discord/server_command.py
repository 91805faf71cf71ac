"""/server: settings that the admins of a server choose."""

# discord.py evaluates these annotations in this module, so they stay unquoted.

from collections.abc import Mapping
from typing import Any, Literal

import discord
from discord import app_commands

from bot.frontends.common.preferences import check_preferences
from bot.frontends.discord.autocomplete import Autocompleter
from bot.frontends.discord.cards import Card
from bot.frontends.discord.command_registration import Language, register_command
from bot.frontends.discord.command_translations import english_descriptions
from bot.frontends.discord.handlers import Asker, InteractionHandlers
from bot.frontends.discord.interaction_context import SERVER_COMMAND, Interaction, role_key
from bot.frontends.discord.responses import explain_errors, respond
from bot.i18n import messages

ShortText = app_commands.Range[str, 1, 100]


class _ChannelTransformer(app_commands.Transformer):
    """Accepts text channels, forums and threads."""

    @property
    def type(self) -> discord.AppCommandOptionType:
        return discord.AppCommandOptionType.channel

    @property
    def channel_types(self) -> list[discord.ChannelType]:
        kinds = discord.ChannelType
        return [kinds.text, kinds.news, kinds.forum, kinds.public_thread, kinds.private_thread]

    async def transform(self, interaction: Interaction, value: Any, /) -> Any:
        del interaction
        return value


ChannelOption = app_commands.Transform[Any, _ChannelTransformer]
SHOWN_SETTINGS = ("channels", "reports", "model", "genre", "language", "tiers", "prompts")
REQUIRED_PERMISSIONS = (
    "view_channel",
    "send_messages",
    "send_messages_in_threads",
    "attach_files",
    "embed_links",
    "read_message_history",
)


def add_server_commands(tree: app_commands.CommandTree[Any], handlers: InteractionHandlers) -> None:
    autocompleter = Autocompleter(handlers.studio)
    group = app_commands.Group(
        name=SERVER_COMMAND,
        description=english_descriptions("server")[0],
        default_permissions=discord.Permissions(manage_guild=True),
        allowed_contexts=app_commands.AppCommandContext(guild=True, dm_channel=False, private_channel=False),
        allowed_installs=app_commands.AppInstallationType(guild=True, user=False),
    )
    commands = ServerCommands(handlers)
    register_command(group, "show", commands.show)
    register_command(group, "channel", commands.channel)
    register_command(
        group, "defaults", commands.defaults, model=autocompleter.model, genre=autocompleter.genre
    )
    register_command(group, "prompts", commands.prompts)
    register_command(group, "tier", commands.tier, tier=commands.complete_tier)
    register_command(group, "reports", commands.reports)
    tree.add_command(group)


class ServerCommands:
    def __init__(self, handlers: InteractionHandlers) -> None:
        self._handlers = handlers
        self._studio = handlers.studio

    async def show(self, interaction: discord.Interaction[Any]) -> None:
        await self._change_and_show(interaction)

    async def channel(
        self,
        interaction: discord.Interaction[Any],
        place: ChannelOption,
        answer: bool = True,  # noqa: FBT001, FBT002  (discord.py passes options by name)
    ) -> None:
        asker = await self._handlers.load_asker(interaction)
        chosen = [number for number in asker.server_settings.get("channels") or [] if number != str(place.id)]
        await self._change_and_show(interaction, channels=[*chosen, str(place.id)] if answer else chosen)

    async def defaults(
        self,
        interaction: discord.Interaction[Any],
        model: ShortText | None = None,
        genre: ShortText | None = None,
        language: Language = None,
        forget: bool = False,  # noqa: FBT001, FBT002  (as above)
    ) -> None:
        asker = await self._handlers.load_asker(interaction)
        async with explain_errors(interaction, asker.language):
            check_preferences(self._studio, genre=genre, model=model)
            changes = {"model": model, "genre": genre, "language": language}
            await self._change_and_show(interaction, **{k: v for k, v in changes.items() if forget or v})

    async def prompts(self, interaction: discord.Interaction[Any], who: Literal["everyone", "asker"]) -> None:
        await self._change_and_show(interaction, prompts=who)

    async def reports(self, interaction: discord.Interaction[Any], place: ChannelOption) -> None:
        await self._change_and_show(interaction, reports=str(place.id))

    async def tier(
        self, interaction: discord.Interaction[Any], role: discord.Role, tier: ShortText | None = None
    ) -> None:
        asker = await self._handlers.load_asker(interaction)
        async with explain_errors(interaction, asker.language):
            await self._studio.set_role_tier(role_key(role.id), tier, asker.viewer)
            await self._change_and_show(interaction)

    async def complete_tier(self, interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
        asker = await self._handlers.load_asker(interaction)
        names = await self._studio.grantable_tiers(asker.viewer)
        return [app_commands.Choice(name=name, value=name) for name in names if typed.lower() in name.lower()]

    async def _change_and_show(self, interaction: Interaction, **changes: Any) -> None:
        asker = await self._handlers.load_asker(interaction)
        async with explain_errors(interaction, asker.language):
            for name, value in changes.items():
                await self._studio.change_community_setting(asker.viewer, name, value)
            roles = interaction.guild.roles if interaction.guild else []
            tiers = await self._studio.role_tiers((role_key(role.id) for role in roles), asker.viewer)
            await respond(
                interaction, _settings_card(await self._handlers.load_asker(interaction), interaction, tiers)
            )


def _setting_values(asker: Asker, tiers: Mapping[str, str]) -> dict[str, str]:
    """Return the text of each setting that has a value."""
    chosen = {name: value for name in SHOWN_SETTINGS if (value := asker.server_settings.get(name))}
    for name in {"channels", "reports"} & chosen.keys():
        numbers = [chosen[name]] if isinstance(chosen[name], str) else chosen[name]
        chosen[name] = ", ".join(f"<#{number}>" for number in numbers)
    if "language" in chosen:
        chosen["language"] = messages.language_name(chosen["language"])
    who = messages.translate(f"prompts.{chosen.get('prompts', 'everyone')}", asker.language)
    given = ", ".join(f"<@&{role.partition(':')[2]}> {tier}" for role, tier in tiers.items())
    everywhere = messages.translate("everywhere", asker.language)
    return {"channels": everywhere, **chosen, "prompts": who, **({"tiers": given} if given else {})}


def _settings_card(asker: Asker, interaction: Interaction, tiers: Mapping[str, str]) -> Card:
    unset = messages.translate("unset", asker.language)
    values = _setting_values(asker, tiers)
    lines = [
        messages.translate(f"server.{name}", asker.language, value=values.get(name, unset))
        for name in SHOWN_SETTINGS
    ]
    granted = interaction.app_permissions
    missing_names = [name.replace("_", " ") for name in REQUIRED_PERMISSIONS if not getattr(granted, name)]
    missing = (
        messages.translate("permissions.missing", asker.language, names=", ".join(missing_names))
        if missing_names
        else ""
    )
    return Card(
        title=messages.translate("server.title", asker.language), body="\n".join(lines), facts=missing
    )
