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

SCOPES = ((BotCommandScopeDefault(), EVERYBODY), (BotCommandScopeAllGroupChats(), GROUPS))

log = structlog.get_logger(__name__)


def commands(names: tuple[str, ...], language: str) -> list[BotCommand]:
    return [BotCommand(name, messages.words(f"command.{name}", language)) for name in names]


async def publish(bot: Bot, *, admins: frozenset[int], admin_commands: tuple[str, ...]) -> None:
    """Never a reason not to start: a menu that cannot be set is set at the next start."""
    try:
        for language in sorted(messages.languages(), key=lambda name: name != "en"):
            code = None if language == "en" else language
            for scope, names in SCOPES:
                await bot.set_my_commands(commands(names, language), scope, language_code=code)
    except TelegramError as error:
        log.warning("command menu not set", reason=type(error).__name__)
    for admin in admins:
        try:
            await bot.set_my_commands(commands(EVERYBODY + admin_commands, "en"), BotCommandScopeChat(admin))
        except TelegramError as error:  # somebody who never wrote to the bot has no chat with it
            log.info("admin menu not set", admin=admin, reason=type(error).__name__)
