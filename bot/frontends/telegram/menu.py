"""The command menu that Telegram shows, in every language that Matinee speaks."""

from __future__ import annotations

import structlog
from telegram import (
    Bot,
    BotCommand,
    BotCommandScopeAllGroupChats,
    BotCommandScopeChat,
    BotCommandScopeDefault,
)
from telegram.error import TelegramError

from bot import messages

EVERYBODY = (
    "video", "image", "animate", "music", "queue", "cancel", "history", "quota", "settings", "models",
    "recipe", "help", "start", "privacy",
)  # fmt: skip
GROUPS = tuple(name for name in EVERYBODY if name != "start")

log = structlog.get_logger(__name__)


def commands(names: tuple[str, ...], language: str) -> list[BotCommand]:
    return [BotCommand(name, messages.words(f"command.{name}", language)) for name in names]


async def publish(bot: Bot, *, admins: frozenset[int], admin_commands: tuple[str, ...]) -> None:
    """Never a reason not to start: a menu that cannot be set is set at the next start."""
    try:
        for language in messages.languages():
            code = None if language == "en" else language
            await bot.set_my_commands(
                commands(EVERYBODY, language), BotCommandScopeDefault(), language_code=code
            )
            await bot.set_my_commands(
                commands(GROUPS, language), BotCommandScopeAllGroupChats(), language_code=code
            )
        for admin in admins if admin_commands else ():
            await bot.set_my_commands(commands(EVERYBODY + admin_commands, "en"), BotCommandScopeChat(admin))
    except TelegramError as error:
        log.warning("command menu not set", reason=type(error).__name__)
