"""How a command gets its words: described from the catalogue, its options completed while typing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any

from discord import app_commands

from bot.frontends.discord.command_translations import described
from bot.frontends.discord.interaction_context import Interaction
from bot.i18n import messages


class _Languages(app_commands.Transformer):
    """Each by the name that its own speakers give it."""

    @property
    def choices(self) -> list[app_commands.Choice[str | int | float]]:
        return [app_commands.Choice(name=messages.named(code), value=code) for code in messages.languages()]

    async def transform(self, interaction: Interaction, value: Any, /) -> Any:
        del interaction
        return value


Language = app_commands.Transform[Any, _Languages]
Callback = Callable[..., Awaitable[None]]
Complete = Callable[[Interaction, str], Coroutine[Any, Any, list[app_commands.Choice[str]]]]


def register(
    tree: app_commands.CommandTree[Any] | app_commands.Group,
    name: str,
    callback: Callback,
    **completed: Complete,
) -> app_commands.Command[Any, Any, Any]:
    prefix = f"{tree.qualified_name} " if isinstance(tree, app_commands.Group) else ""
    about, options = described(prefix + name)
    free = _free(callback)
    if options:
        app_commands.describe(**options)(free)
    command: app_commands.Command[Any, Any, Any] = app_commands.Command(
        name=name, description=about, callback=free
    )
    for option, complete in completed.items():
        command.autocomplete(option)(complete)
    tree.add_command(command)
    return command


def _free(callback: Callback) -> Any:
    """discord.py takes plain functions; a bound method becomes one, with the same options."""

    @wraps(callback)
    async def command(*args: Any, **options: Any) -> None:
        await callback(*args, **options)

    command.__qualname__ = command.__name__
    return command
