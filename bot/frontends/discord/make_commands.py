"""Commands that make something: /video, /image, /animate and its menu, /music."""

# Annotations are read by discord.py with values that are known only here, so they stay unquoted.

import asyncio
from dataclasses import replace
from typing import Any

import discord
from discord import app_commands

from bot.domain.errors import NoPicture
from bot.frontends.discord.attachments import PICTURES, SOUNDS, fetch
from bot.frontends.discord.autocomplete import Offers
from bot.frontends.discord.command_options import NEEDED, making_options, taking
from bot.frontends.discord.command_registration import register
from bot.frontends.discord.handlers import Desk
from bot.frontends.discord.interaction_context import Interaction
from bot.frontends.discord.responses import honest
from bot.i18n import messages
from generation.music.common.audio_decode import check
from generation.request import PROMPT_LIMIT, Kind, MusicWish, Wish

MENU = "Animate this"
TAKES = {
    "video": "prompt genre seconds aspect style camera mood tempo instruments"
    " image track melody model seed negative private",
    "image": "prompt aspect style model seed negative private",
    "animate": "image prompt genre seconds camera model seed private",
    "music": "clip genre mood tempo instruments track private",
}
PLAIN = ("seconds", "aspect", "style", "camera", "model", "seed")
MUSICAL = ("genre", "mood", "tempo", "instruments")


def add_making(tree: app_commands.CommandTree[Any], desk: Desk, *, restricted: bool) -> None:
    """`restricted` offers them only where Discord shows things for adults."""
    known = making_options(Offers(desk.studio))
    making = Making(desk)
    for name, taken in TAKES.items():
        options = {option: known[option] for option in taken.split()}
        if name == "animate":
            options["image"] = replace(options["image"], takes=discord.Attachment, default=NEEDED)
        offered = {option: facts.offer for option, facts in options.items() if facts.offer}
        command = register(tree, name, taking(getattr(making, name), options), **offered)
        command.nsfw = restricted
    tree.add_command(app_commands.ContextMenu(name=MENU, callback=animate_menu, nsfw=restricted))


class Making:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def video(self, interaction: Interaction, **given: Any) -> None:
        kind = Kind.ANIMATE if given["image"] else Kind.VIDEO
        await film_with(self._desk, interaction, wish_of(kind, given), **attached(given))

    async def image(self, interaction: Interaction, **given: Any) -> None:
        await self._desk.film(interaction, wish_of(Kind.IMAGE, given))

    async def animate(self, interaction: Interaction, **given: Any) -> None:
        await film_with(self._desk, interaction, wish_of(Kind.ANIMATE, given), **attached(given))

    async def music(self, interaction: Interaction, **given: Any) -> None:
        music, track = music_of(given), given["track"]
        asker = await self._desk.asker(interaction)
        async with honest(interaction, asker.language):
            if track is not None:
                music = replace(music, track=await kept(self._desk, interaction, track, SOUNDS))
            await self._desk.rescore(interaction, given["clip"], music)


def wish_of(kind: Kind, given: dict[str, Any]) -> Wish:
    """What was typed, as a wish; `private` was heeded when the command was acknowledged."""
    return Wish(
        prompt=given["prompt"],
        kind=kind,
        negative=given.get("negative") or "",
        music=music_of(given),
        **{name: given.get(name) for name in PLAIN},
    )


def music_of(given: dict[str, Any]) -> MusicWish:
    return MusicWish.typed(**{name: given.get(name) for name in MUSICAL})


async def animate_menu(interaction: discord.Interaction[Any], message: discord.Message) -> None:
    """Right-click on a message with a picture."""
    desk: Desk = interaction.client.desk
    picture = next((a for a in message.attachments if a.filename.lower().endswith(PICTURES)), None)
    asker = await desk.asker(interaction)
    async with honest(interaction, asker.language):
        if picture is None:
            raise NoPicture
        typed = discord.utils.remove_markdown(message.content).strip()
        prompt = typed or messages.words("animate.prompt", asker.language)
        await film_with(
            desk, interaction, Wish(prompt=prompt[:PROMPT_LIMIT], kind=Kind.ANIMATE), image=picture
        )


def attached(given: dict[str, Any]) -> dict[str, discord.Attachment]:
    return {name: given[name] for name in ("image", "track", "melody") if given.get(name) is not None}


async def kept(
    desk: Desk, interaction: Interaction, file: discord.Attachment, endings: tuple[str, ...]
) -> str:
    folder = desk.studio.house.data / "inbox" / str(interaction.id)
    path = await fetch(file, folder, endings)
    if endings is SOUNDS:
        await asyncio.to_thread(check, path, file.filename)
    return str(path)


async def film_with(
    desk: Desk,
    interaction: Interaction,
    wish: Wish,
    *,
    image: discord.Attachment | None = None,
    track: discord.Attachment | None = None,
    melody: discord.Attachment | None = None,
) -> None:
    """Attachments are fetched first; a wish whose files are refused never reaches the studio."""
    asker = await desk.asker(interaction)
    async with honest(interaction, asker.language):
        if image is not None:
            wish = replace(wish, image=await kept(desk, interaction, image, PICTURES))
        music = wish.music
        if track is not None:
            music = replace(music, track=await kept(desk, interaction, track, SOUNDS))
        if melody is not None:
            music = replace(music, melody=await kept(desk, interaction, melody, SOUNDS))
        await desk.film(interaction, replace(wish, music=music))
