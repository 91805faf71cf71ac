"""The command menus that Telegram shows: per language, and for users, groups and admins."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, field

import structlog
from telegram import (
    Bot,
    BotCommand,
    BotCommandScope,
    BotCommandScopeAllChatAdministrators,
    BotCommandScopeAllGroupChats,
    BotCommandScopeChat,
    BotCommandScopeChatAdministrators,
    BotCommandScopeDefault,
)
from telegram.error import TelegramError

from bot.i18n import messages

USER_COMMANDS = (
    "video", "image", "animate", "music", "queue", "cancel", "history", "quota", "settings", "models",
    "recipe", "report", "appeal", "help", "start", "privacy",
)  # fmt: skip
GROUP_COMMANDS = tuple(name for name in USER_COMMANDS if name != "start")
PAYMENT_COMMANDS = ("buy", "paysupport")
ADMIN_COMMANDS = ("admin",)
GROUP_ADMIN_TEXTS = {"settings": "settings.chat"}
"""Commands whose description is different for admins of a group."""

log = structlog.get_logger(__name__)


def menu_languages() -> tuple[str, ...]:
    """The languages of the menus. English comes first and is also shown in all other languages."""
    return ("en", *(name for name in messages.languages() if name != "en"))


def menu_commands(names: tuple[str, ...], language: str, *, group_admin: bool = False) -> list[BotCommand]:
    keys = {name: GROUP_ADMIN_TEXTS.get(name, name) if group_admin else name for name in names}
    return [BotCommand(name, messages.translate(f"command.{key}", language)) for name, key in keys.items()]


@dataclass
class CommandMenu:
    bot: Bot
    admins: frozenset[int] = frozenset()
    sells_credits: bool = False
    _groups_done: set[int] = field(default_factory=set)  # groups whose admin menu was handled

    async def publish(self) -> None:
        """Publish all menus. A failure is logged only; the next start tries again."""
        private = USER_COMMANDS + (PAYMENT_COMMANDS if self.sells_credits else ())
        for language in menu_languages():
            await self._set(private, BotCommandScopeDefault(), language)
            await self._set(GROUP_COMMANDS, BotCommandScopeAllGroupChats(), language)
            await self._set(
                GROUP_COMMANDS, BotCommandScopeAllChatAdministrators(), language, group_admin=True
            )
        for admin in self.admins:
            for language in menu_languages():
                await self._set(private + ADMIN_COMMANDS, BotCommandScopeChat(admin), language)

    async def publish_to_group_admins(self, chat: int) -> None:
        """Show /admin to a group's admins if one of Matinee's admins is among them.

        The command itself checks who may use it.
        """
        if chat in self._groups_done or not self.admins:
            return
        self._groups_done.add(chat)
        try:
            found = {member.user.id for member in await self.bot.get_chat_administrators(chat)}
        except TelegramError as error:
            log.info("could not get the admins of a group", chat=chat, reason=type(error).__name__)
            return
        if found & self.admins:
            scope = BotCommandScopeChatAdministrators(chat)
            for language in menu_languages():
                await self._set(GROUP_COMMANDS + ADMIN_COMMANDS, scope, language, group_admin=True)

    async def _set(
        self, names: tuple[str, ...], scope: BotCommandScope, language: str, *, group_admin: bool = False
    ) -> None:
        commands = menu_commands(names, language, group_admin=group_admin)
        code = None if language == "en" else language
        await _log_failure(self.bot.set_my_commands(commands, scope, language_code=code), scope)


async def _log_failure(call: Awaitable[object], scope: BotCommandScope) -> None:
    try:
        await call
    except TelegramError as error:  # for example, an admin who never wrote to the bot has no chat with it
        log.info("could not set a command menu", scope=scope.type, reason=type(error).__name__)
