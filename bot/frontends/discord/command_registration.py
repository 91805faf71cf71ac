"""Registers commands with their descriptions from the catalogue and their autocomplete callbacks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any

from discord import app_commands

from bot.frontends.discord.command_translations import english_descriptions
from bot.frontends.discord.interaction_context import Interaction
from bot.i18n import messages


class _LanguageTransformer(app_commands.Transformer):
    """Offers the languages, each under its own name."""

    @property
    def choices(self) -> list[app_commands.Choice[str | int | float]]:
        return [
            app_commands.Choice(name=messages.language_name(code), value=code)
            for code in messages.languages()
        ]

    async def transform(self, interaction: Interaction, value: Any, /) -> Any:
        del interaction
        return value


Language = app_commands.Transform[Any, _LanguageTransformer]
CommandCallback = Callable[..., Awaitable[None]]
Autocomplete = Callable[[Interaction, str], Coroutine[Any, Any, list[app_commands.Choice[str]]]]


def register_command(
    tree: app_commands.CommandTree[Any] | app_commands.Group,
    name: str,
    callback: CommandCallback,
    **autocompletes: Autocomplete,
) -> app_commands.Command[Any, Any, Any]:
    prefix = f"{tree.qualified_name} " if isinstance(tree, app_commands.Group) else ""
    description, options = english_descriptions(prefix + name)
    function = _plain_function(callback)
    if options:
        app_commands.describe(**options)(function)
    command: app_commands.Command[Any, Any, Any] = app_commands.Command(
        name=name, description=description, callback=function
    )
    for option, complete in autocompletes.items():
        command.autocomplete(option)(complete)
    tree.add_command(command)
    return command


def _plain_function(callback: CommandCallback) -> Any:
    """Wrap a bound method in a plain function with the same options, as discord.py requires one."""

    @wraps(callback)
    async def command(*args: Any, **options: Any) -> None:
        await callback(*args, **options)

    command.__qualname__ = command.__name__
    return command
