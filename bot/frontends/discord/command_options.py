"""The options of the commands that make clips: type, default and autocomplete, each defined once."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any

import discord
from discord import app_commands

from bot.frontends.discord.autocomplete import Autocompleter
from bot.frontends.discord.command_registration import Autocomplete, CommandCallback
from generation.music.common.music_choice import MOODS
from generation.request import PROMPT_LIMIT, SEED_LIMIT

PromptText = app_commands.Range[str, 1, PROMPT_LIMIT]
ShortText = app_commands.Range[str, 1, 100]
REQUIRED = inspect.Parameter.empty


@dataclass(frozen=True, slots=True)
class Option:
    annotation: Any
    default: Any = None
    autocomplete: Autocomplete | None = None
    choices: tuple[str, ...] = ()


def make_command_options(autocompleter: Autocompleter) -> dict[str, Option]:
    """Return all options; their ranges and choices come from the presets."""
    low, high = autocompleter.seconds
    return {
        "prompt": Option(PromptText, REQUIRED),
        "clip": Option(ShortText, REQUIRED, autocompleter.finished_clips),
        "genre": Option(ShortText | None, autocomplete=autocompleter.genre),
        "seconds": Option(app_commands.Range[float, low, high] | None),
        "aspect": Option(ShortText | None, choices=autocompleter.aspects),
        "style": Option(ShortText | None, autocomplete=autocompleter.style),
        "camera": Option(ShortText | None, autocomplete=autocompleter.camera),
        "mood": Option(ShortText | None, choices=tuple(MOODS)),
        "tempo": Option(ShortText | None, autocomplete=autocompleter.tempo),
        "instruments": Option(ShortText | None, autocomplete=autocompleter.instruments),
        "image": Option(discord.Attachment | None),
        "track": Option(discord.Attachment | None),
        "melody": Option(discord.Attachment | None),
        "model": Option(ShortText | None, autocomplete=autocompleter.model),
        "seed": Option(app_commands.Range[int, 0, SEED_LIMIT] | None),
        "negative": Option(PromptText | None),
        "private": Option(bool, default=False),
    }


def with_options(callback: CommandCallback, options: Mapping[str, Option]) -> CommandCallback:
    """Give `callback(interaction, **given)` a signature with these options, which discord.py reads."""

    @wraps(callback)
    async def command(interaction: discord.Interaction[Any], **given: Any) -> None:
        await callback(interaction, **given)

    interaction_parameter = inspect.Parameter(
        "interaction", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=discord.Interaction
    )
    command.__signature__ = inspect.Signature([interaction_parameter, *_parameters(options)])  # type: ignore[attr-defined]
    fixed_choices = {
        name: [app_commands.Choice(name=choice, value=choice) for choice in option.choices]
        for name, option in options.items()
        if option.choices
    }
    return app_commands.choices(**fixed_choices)(command) if fixed_choices else command


def _parameters(options: Mapping[str, Option]) -> Iterable[inspect.Parameter]:
    for name, option in options.items():
        yield inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=option.default, annotation=option.annotation
        )
