"""/server: what the people who run a server decide about Matinee there."""

# Annotations are read by discord.py with values that are known only here, so they stay unquoted.

from collections.abc import Mapping
from typing import Any, Literal

import discord
from discord import app_commands

from bot.frontends.discord.autocomplete import Offers
from bot.frontends.discord.cards import Card
from bot.frontends.discord.command_registration import Language, register
from bot.frontends.discord.command_translations import described
from bot.frontends.discord.handlers import Asker, Desk, server_key
from bot.frontends.discord.interaction_context import PLATFORM, Interaction
from bot.frontends.discord.responses import honest, tell
from bot.i18n import messages

Word = app_commands.Range[str, 1, 100]


class _Places(app_commands.Transformer):
    """Channels where people write, forums and threads among them."""

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


Place = app_commands.Transform[Any, _Places]
SHOWN = ("channels", "reports", "model", "genre", "language", "tiers", "prompts")
NEEDED = (
    "view_channel",
    "send_messages",
    "send_messages_in_threads",
    "attach_files",
    "embed_links",
    "read_message_history",
)


def add_server(tree: app_commands.CommandTree[Any], desk: Desk) -> None:
    offers = Offers(desk.studio)
    group = app_commands.Group(
        name="server",
        description=described("server")[0],
        default_permissions=discord.Permissions(manage_guild=True),
        allowed_contexts=app_commands.AppCommandContext(guild=True, dm_channel=False, private_channel=False),
        allowed_installs=app_commands.AppInstallationType(guild=True, user=False),
    )
    verbs = ServerVerbs(desk)
    register(group, "show", verbs.show)
    register(group, "channel", verbs.channel)
    register(group, "defaults", verbs.defaults, model=offers.model, genre=offers.genre)
    register(group, "prompts", verbs.prompts)
    register(group, "tier", verbs.tier, tier=verbs.offer_tier)
    register(group, "reports", verbs.reports)
    tree.add_command(group)


class ServerVerbs:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._studio = desk.studio

    async def show(self, interaction: discord.Interaction[Any]) -> None:
        await self._change(interaction)

    async def channel(
        self,
        interaction: discord.Interaction[Any],
        place: Place,
        answer: bool = True,  # noqa: FBT001, FBT002  (an option is named by who types it)
    ) -> None:
        asker = await self._desk.asker(interaction)
        chosen = [number for number in asker.server.get("channels") or [] if number != str(place.id)]
        await self._change(interaction, channels=[*chosen, str(place.id)] if answer else chosen)

    async def defaults(
        self,
        interaction: discord.Interaction[Any],
        model: Word | None = None,
        genre: Word | None = None,
        language: Language = None,
        forget: bool = False,  # noqa: FBT001, FBT002  (as above)
    ) -> None:
        asker = await self._desk.asker(interaction)
        async with honest(interaction, asker.language):
            self._desk.check_names(genre, model)
            changes = {"model": model, "genre": genre, "language": language}
            await self._change(interaction, **{k: v for k, v in changes.items() if forget or v})

    async def prompts(self, interaction: discord.Interaction[Any], who: Literal["everyone", "asker"]) -> None:
        await self._change(interaction, prompts=who)

    async def reports(self, interaction: discord.Interaction[Any], place: Place) -> None:
        await self._change(interaction, reports=str(place.id))

    async def tier(
        self, interaction: discord.Interaction[Any], role: discord.Role, tier: Word | None = None
    ) -> None:
        asker = await self._desk.asker(interaction)
        async with honest(interaction, asker.language):
            await self._studio.roles.give(_key(role), tier, asker.requester)
            await self._change(interaction)

    async def offer_tier(self, interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
        asker = await self._desk.asker(interaction)
        names = self._studio.roles.offered(asker.requester)
        return [app_commands.Choice(name=name, value=name) for name in names if typed.lower() in name.lower()]

    async def _change(self, interaction: Interaction, **changes: Any) -> None:
        asker = await self._desk.asker(interaction)
        async with honest(interaction, asker.language):
            for name, value in changes.items():
                await self._studio.change_setting(server_key(interaction.guild_id), name, value)
            roles = interaction.guild.roles if interaction.guild else []
            tiers = await self._studio.roles.given(map(_key, roles))
            await tell(interaction, _card(await self._desk.asker(interaction), interaction, tiers))


def _key(role: discord.Role) -> str:
    return f"{PLATFORM}:{role.id}"


def _values(asker: Asker, tiers: Mapping[str, str]) -> dict[str, str]:
    """Each setting as it is shown, as far as it was chosen."""
    chosen = {name: value for name in SHOWN if (value := asker.server.get(name))}
    for name in {"channels", "reports"} & chosen.keys():
        numbers = [chosen[name]] if isinstance(chosen[name], str) else chosen[name]
        chosen[name] = ", ".join(f"<#{number}>" for number in numbers)
    if "language" in chosen:
        chosen["language"] = messages.named(chosen["language"])
    who = messages.words(f"prompts.{chosen.get('prompts', 'everyone')}", asker.language)
    given = ", ".join(f"<@&{role.partition(':')[2]}> {tier}" for role, tier in tiers.items())
    everywhere = messages.words("everywhere", asker.language)
    return {"channels": everywhere, **chosen, "prompts": who, **({"tiers": given} if given else {})}


def _card(asker: Asker, interaction: Interaction, tiers: Mapping[str, str]) -> Card:
    unset = messages.words("unset", asker.language)
    values = _values(asker, tiers)
    lines = [
        messages.words(f"server.{name}", asker.language, value=values.get(name, unset)) for name in SHOWN
    ]
    granted = interaction.app_permissions
    lacking = [name.replace("_", " ") for name in NEEDED if not getattr(granted, name)]
    missing = (
        messages.words("permissions.missing", asker.language, names=", ".join(lacking)) if lacking else ""
    )
    return Card(title=messages.words("server.title", asker.language), body="\n".join(lines), facts=missing)
