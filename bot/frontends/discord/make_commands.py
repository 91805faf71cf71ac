"""Commands that start jobs: /video, /image, /animate with its context menu, /music."""

# discord.py evaluates these annotations in this module, so they stay unquoted.

from dataclasses import replace
from typing import Any

import discord
from discord import app_commands

from bot.domain.errors import NoPictureInMessage
from bot.frontends.common.attachments import IMAGE_SUFFIXES
from bot.frontends.discord.attachments import receive_audio, receive_image
from bot.frontends.discord.autocomplete import Autocompleter
from bot.frontends.discord.command_options import REQUIRED, make_command_options, with_options
from bot.frontends.discord.command_registration import register_command
from bot.frontends.discord.handlers import InteractionHandlers, parse_job_number
from bot.frontends.discord.interaction_context import Interaction
from bot.frontends.discord.responses import explain_errors
from bot.i18n import messages
from generation.request import PROMPT_LIMIT, Kind, MusicWish, Wish

MENU_COMMAND = "Animate this"
COMMAND_OPTIONS = {
    "video": "prompt genre seconds aspect style camera mood tempo instruments"
    " image track melody model seed negative private",
    "image": "prompt aspect style model seed negative private",
    "animate": "image prompt genre seconds camera model seed private",
    "music": "clip genre mood tempo instruments track private",
}
WISH_OPTIONS = ("seconds", "aspect", "style", "camera", "model", "seed")
MUSIC_OPTIONS = ("genre", "mood", "tempo", "instruments")


def add_make_commands(
    tree: app_commands.CommandTree[Any], handlers: InteractionHandlers, *, restricted: bool
) -> None:
    """Add the commands; with `restricted` only in age-restricted channels."""
    known = make_command_options(Autocompleter(handlers.studio))
    commands = MakeCommands(handlers)
    for name, option_names in COMMAND_OPTIONS.items():
        options = {option: known[option] for option in option_names.split()}
        if name == "animate":
            options["image"] = replace(options["image"], annotation=discord.Attachment, default=REQUIRED)
        autocompletes = {name: option.autocomplete for name, option in options.items() if option.autocomplete}
        command = register_command(
            tree, name, with_options(getattr(commands, name), options), **autocompletes
        )
        command.nsfw = restricted
    tree.add_command(app_commands.ContextMenu(name=MENU_COMMAND, callback=animate_menu, nsfw=restricted))


class MakeCommands:
    def __init__(self, handlers: InteractionHandlers) -> None:
        self._handlers = handlers

    async def video(self, interaction: Interaction, **given: Any) -> None:
        kind = Kind.ANIMATE if given["image"] else Kind.VIDEO
        await submit_with_attachments(
            self._handlers, interaction, wish_of(kind, given), **given_attachments(given)
        )

    async def image(self, interaction: Interaction, **given: Any) -> None:
        await self._handlers.submit_wish(interaction, wish_of(Kind.IMAGE, given))

    async def animate(self, interaction: Interaction, **given: Any) -> None:
        await submit_with_attachments(
            self._handlers, interaction, wish_of(Kind.ANIMATE, given), **given_attachments(given)
        )

    async def music(self, interaction: Interaction, **given: Any) -> None:
        music, track = music_of(given), given["track"]
        asker = await self._handlers.load_asker(interaction)
        async with explain_errors(interaction, asker.language):
            if track is not None:
                await self._handlers.studio.job(parse_job_number(given["clip"]), asker.viewer)
                async with self._handlers.studio.receive_uploads(asker.viewer) as intake:
                    path = await receive_audio(track, intake, limit=interaction.filesize_limit)
                    await self._handlers.new_music(interaction, given["clip"], replace(music, track=path))
                return
            await self._handlers.new_music(interaction, given["clip"], music)


def wish_of(kind: Kind, given: dict[str, Any]) -> Wish:
    """Return the options as a wish; `private` was applied when the command was acknowledged."""
    return Wish(
        prompt=given["prompt"],
        kind=kind,
        negative=given.get("negative") or "",
        music=music_of(given),
        **{name: given.get(name) for name in WISH_OPTIONS},
    )


def music_of(given: dict[str, Any]) -> MusicWish:
    return MusicWish.from_text(**{name: given.get(name) for name in MUSIC_OPTIONS})


async def animate_menu(interaction: discord.Interaction[Any], message: discord.Message) -> None:
    """Animate the picture of a message, from its context menu."""
    handlers: InteractionHandlers = interaction.client.handlers
    picture = next((a for a in message.attachments if a.filename.lower().endswith(IMAGE_SUFFIXES)), None)
    asker = await handlers.load_asker(interaction)
    async with explain_errors(interaction, asker.language):
        if picture is None:
            raise NoPictureInMessage
        typed = discord.utils.remove_markdown(message.content).strip()
        prompt = typed or messages.translate("animate.prompt", asker.language)
        await submit_with_attachments(
            handlers, interaction, Wish(prompt=prompt[:PROMPT_LIMIT], kind=Kind.ANIMATE), image=picture
        )


def given_attachments(given: dict[str, Any]) -> dict[str, discord.Attachment]:
    return {name: given[name] for name in ("image", "track", "melody") if given.get(name) is not None}


async def submit_with_attachments(
    handlers: InteractionHandlers,
    interaction: Interaction,
    wish: Wish,
    *,
    image: discord.Attachment | None = None,
    track: discord.Attachment | None = None,
    melody: discord.Attachment | None = None,
) -> None:
    """Receive the attachments, then submit the wish; a refused file prevents the submission."""
    asker = await handlers.load_asker(interaction)
    async with explain_errors(interaction, asker.language):
        if image is None and track is None and melody is None:
            await handlers.submit_wish(interaction, wish)
        else:
            limit = interaction.filesize_limit
            async with handlers.studio.receive_uploads(asker.viewer) as intake:
                if image is not None:
                    wish = replace(wish, image=await receive_image(image, intake))
                music = wish.music
                if track is not None:
                    music = replace(music, track=await receive_audio(track, intake, limit=limit))
                if melody is not None:
                    music = replace(music, melody=await receive_audio(melody, intake, limit=limit))
                await handlers.submit_wish(interaction, replace(wish, music=music))
