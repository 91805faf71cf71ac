"""Commands that make something: /video, /image, /animate and its menu, /music."""

# Annotations are read by discord.py with values that are known only here, so they stay unquoted.
# ruff: noqa: FBT001, FBT002, N806, PLR0913  (and a command's options are its parameters)

from collections.abc import Iterable
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
from bot.frontends.discord.register import register
from generation.request import PROMPT_LIMIT, SEED_LIMIT, Kind, MusicWish, Wish
from generation.scores.genres import MOODS

Text = app_commands.Range[str, 1, PROMPT_LIMIT]
Word = app_commands.Range[str, 1, 100]
Seed = app_commands.Range[int, 0, SEED_LIMIT]
MENU = "Animate this"


def add_making(tree: app_commands.CommandTree[Any], desk: Desk) -> None:
    offers = Offers(desk.studio)
    low, high = offers.seconds
    Seconds = app_commands.Range[float, low, high]

    async def video(
        interaction: discord.Interaction[Any],
        prompt: Text,
        genre: Word | None = None,
        seconds: Seconds | None = None,
        aspect: Word | None = None,
        style: Word | None = None,
        camera: Word | None = None,
        mood: Word | None = None,
        tempo: Word | None = None,
        instruments: Word | None = None,
        image: discord.Attachment | None = None,
        melody: discord.Attachment | None = None,
        model: Word | None = None,
        seed: Seed | None = None,
        negative: Text | None = None,
        private: bool = False,
    ) -> None:
        del private  # it was heeded when the command was acknowledged
        music = music_wish(genre, mood, tempo, instruments)
        wish = Wish(
            prompt=prompt,
            kind=Kind.ANIMATE if image else Kind.VIDEO,
            seconds=seconds,
            aspect=aspect,
            style=style,
            camera=camera,
            model=model,
            seed=seed,
            negative=negative or "",
            music=music,
        )
        await film_with(desk, interaction, wish, image, melody)

    async def image(
        interaction: discord.Interaction[Any],
        prompt: Text,
        aspect: Word | None = None,
        style: Word | None = None,
        model: Word | None = None,
        seed: Seed | None = None,
        negative: Text | None = None,
        private: bool = False,
    ) -> None:
        del private
        wish = Wish(
            prompt=prompt,
            kind=Kind.IMAGE,
            aspect=aspect,
            style=style,
            model=model,
            seed=seed,
            negative=negative or "",
        )
        await desk.film(interaction, wish)

    async def animate(
        interaction: discord.Interaction[Any],
        image: discord.Attachment,
        prompt: Text,
        genre: Word | None = None,
        seconds: Seconds | None = None,
        camera: Word | None = None,
        model: Word | None = None,
        seed: Seed | None = None,
        private: bool = False,
    ) -> None:
        del private
        wish = Wish(
            prompt=prompt,
            kind=Kind.ANIMATE,
            seconds=seconds,
            camera=camera,
            model=model,
            seed=seed,
            music=MusicWish(genre=genre),
        )
        await film_with(desk, interaction, wish, image, None)

    async def music(
        interaction: discord.Interaction[Any],
        clip: Word,
        genre: Word | None = None,
        mood: Word | None = None,
        tempo: Word | None = None,
        instruments: Word | None = None,
        private: bool = False,
    ) -> None:
        del private
        await desk.rescore(interaction, clip, music_wish(genre, mood, tempo, instruments))

    aspects, moods = _choices(offers.aspects), _choices(MOODS)
    register(
        tree,
        "video",
        app_commands.choices(aspect=aspects, mood=moods)(video),
        genre=offers.genre,
        style=offers.style,
        camera=offers.camera,
        tempo=offers.tempo,
        instruments=offers.instruments,
        model=offers.model,
    )
    register(
        tree, "image", app_commands.choices(aspect=aspects)(image), style=offers.style, model=offers.model
    )
    register(tree, "animate", animate, genre=offers.genre, camera=offers.camera, model=offers.model)
    register(
        tree,
        "music",
        app_commands.choices(mood=moods)(music),
        clip=offers.finished,
        genre=offers.genre,
        tempo=offers.tempo,
        instruments=offers.instruments,
    )
    tree.add_command(app_commands.ContextMenu(name=MENU, callback=animate_menu))


def _choices(names: Iterable[str]) -> list[app_commands.Choice[str]]:
    return [app_commands.Choice(name=name, value=name) for name in names]


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
            desk, interaction, Wish(prompt=prompt[:PROMPT_LIMIT], kind=Kind.ANIMATE), picture, None
        )


def music_wish(genre: str | None, mood: str | None, tempo: str | None, instruments: str | None) -> MusicWish:
    named = tuple(filter(None, (name.strip() for name in (instruments or "").split(","))))
    return MusicWish(genre=genre, mood=mood, tempo=tempo, instruments=named)


async def film_with(
    desk: Desk,
    interaction: Interaction,
    wish: Wish,
    image: discord.Attachment | None,
    melody: discord.Attachment | None,
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
