"""The options of the commands that make something, each told once: what it takes and what is offered."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any

import discord
from discord import app_commands

from bot.frontends.discord.autocomplete import Offers
from bot.frontends.discord.command_registration import Callback, Complete
from generation.music.common.music_choice import MOODS
from generation.request import PROMPT_LIMIT, SEED_LIMIT

Text = app_commands.Range[str, 1, PROMPT_LIMIT]
Word = app_commands.Range[str, 1, 100]
NEEDED = inspect.Parameter.empty


@dataclass(frozen=True, slots=True)
class Option:
    takes: Any
    default: Any = None
    offer: Complete | None = None
    choices: tuple[str, ...] = ()


def making_options(offers: Offers) -> dict[str, Option]:
    """Ranges and choices are those of the presets."""
    low, high = offers.seconds
    return {
        "prompt": Option(Text, NEEDED),
        "clip": Option(Word, NEEDED, offers.finished),
        "genre": Option(Word | None, offer=offers.genre),
        "seconds": Option(app_commands.Range[float, low, high] | None),
        "aspect": Option(Word | None, choices=offers.aspects),
        "style": Option(Word | None, offer=offers.style),
        "camera": Option(Word | None, offer=offers.camera),
        "mood": Option(Word | None, choices=tuple(MOODS)),
        "tempo": Option(Word | None, offer=offers.tempo),
        "instruments": Option(Word | None, offer=offers.instruments),
        "image": Option(discord.Attachment | None),
        "track": Option(discord.Attachment | None),
        "melody": Option(discord.Attachment | None),
        "model": Option(Word | None, offer=offers.model),
        "seed": Option(app_commands.Range[int, 0, SEED_LIMIT] | None),
        "negative": Option(Text | None),
        "private": Option(bool, default=False),
    }


def taking(callback: Callback, options: Mapping[str, Option]) -> Callback:
    """`callback(interaction, **given)` with a signature that says what is given: discord.py reads that."""

    @wraps(callback)
    async def command(interaction: discord.Interaction[Any], **given: Any) -> None:
        await callback(interaction, **given)

    here = inspect.Parameter(
        "interaction", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=discord.Interaction
    )
    command.__signature__ = inspect.Signature([here, *_parameters(options)])  # type: ignore[attr-defined]
    chosen = {
        name: [app_commands.Choice(name=choice, value=choice) for choice in option.choices]
        for name, option in options.items()
        if option.choices
    }
    return app_commands.choices(**chosen)(command) if chosen else command


def _parameters(options: Mapping[str, Option]) -> Iterable[inspect.Parameter]:
    for name, option in options.items():
        yield inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=option.default, annotation=option.takes
        )
