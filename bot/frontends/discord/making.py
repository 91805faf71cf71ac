"""Commands that make something: /video, /image, /animate and its menu, /music."""

# Annotations are read by discord.py with values that are known only here, so they stay unquoted.

from dataclasses import replace
from typing import Any

import discord
from discord import app_commands

from bot import messages
from bot.errors import NoPicture
from bot.frontends.discord.answers import honest
from bot.frontends.discord.asking import Interaction
from bot.frontends.discord.attachments import PICTURES, SOUNDS, fetch
from bot.frontends.discord.desk import Desk
from bot.frontends.discord.offers import Offers
from bot.frontends.discord.options import NEEDED, making_options, taking
from bot.frontends.discord.register import register
from generation.request import PROMPT_LIMIT, Kind, MusicWish, Wish

MENU = "Animate this"
TAKES = {
    "video": "prompt genre seconds aspect style camera mood tempo instruments"
    " image melody model seed negative private",
    "image": "prompt aspect style model seed negative private",
    "animate": "image prompt genre seconds camera model seed private",
    "music": "clip genre mood tempo instruments private",
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
        await film_with(self._desk, interaction, wish_of(kind, given), given["image"], given["melody"])

    async def image(self, interaction: Interaction, **given: Any) -> None:
        await self._desk.film(interaction, wish_of(Kind.IMAGE, given))

    async def animate(self, interaction: Interaction, **given: Any) -> None:
        await film_with(self._desk, interaction, wish_of(Kind.ANIMATE, given), given["image"])

    async def music(self, interaction: Interaction, **given: Any) -> None:
        await self._desk.rescore(interaction, given["clip"], music_of(given))


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
        await film_with(desk, interaction, Wish(prompt=prompt[:PROMPT_LIMIT], kind=Kind.ANIMATE), picture)


async def film_with(
    desk: Desk,
    interaction: Interaction,
    wish: Wish,
    image: discord.Attachment | None,
    melody: discord.Attachment | None = None,
) -> None:
    """Attachments are fetched first; a wish whose files are refused never reaches the studio."""
    asker = await desk.asker(interaction)
    async with honest(interaction, asker.language):
        folder = desk.studio.house.data / "inbox" / str(interaction.id)
        if image is not None:
            wish = replace(wish, image=str(await fetch(image, folder, PICTURES)))
        if melody is not None:
            tune = str(await fetch(melody, folder, SOUNDS))
            wish = replace(wish, music=replace(wish.music, melody=tune))
        await desk.film(interaction, wish)
