"""/settings: the defaults of a user or group, changed by buttons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import structlog
from msgspec import structs
from telegram import InlineKeyboardButton, InlineKeyboardMarkup
from telegram.error import TelegramError

from bot.domain.errors import NotYourButtons
from bot.domain.jobs import Action
from bot.frontends.common import account_actions
from bot.frontends.telegram.keyboards import button, keyboard, split_rows
from bot.i18n import messages
from generation.music.common.music_choice import SILENT

if TYPE_CHECKING:
    from bot.frontends.telegram.message_context import Invocation, MessageContext
    from bot.frontends.telegram.update_replies import CommandHandler, Responder

GENRES = ("lofi", "pop", "jazz", "cinematic", "ambient", SILENT)
LENGTHS = ("3", "5", "8")
SHAPES = ("1:1", "16:9", "9:16")
ASK_FIRST = "yes"
GROUP_OWNER = 0
"""The owner number in a button that changes the group's settings."""

log = structlog.get_logger(__name__)


def available_choices() -> dict[str, tuple[str, ...]]:
    return {
        "seconds": LENGTHS,
        "aspect": SHAPES,
        "genre": GENRES,
        "ask": (ASK_FIRST,),
        "recipe": ("yes", "no"),
        "language": messages.languages(),
    }


def owner_number(context: MessageContext) -> int:
    """The number of the requester in a button's data. Ids of groups and channels are negative."""
    return abs(int(context.requester.user))


def parse_choice(choice: str) -> tuple[str, str] | None:
    """The setting and value in a button's data, or None if they are not valid."""
    name, _, value = choice.partition("=")
    return (name, value) if value in available_choices().get(name, ()) else None


@dataclass
class PreferenceCommands:
    responder: Responder

    @property
    def handlers(self) -> dict[str, CommandHandler]:
        return {"settings": self.settings}

    async def settings(self, invocation: Invocation) -> None:
        """/settings: show the group's settings to its admins and their own settings to other users.

        `/settings link [CODE]` links the user's accounts on two platforms, and `/settings unlink` undoes it.
        """
        context = invocation.context
        verb, code = [*invocation.arguments.split(maxsplit=1), "", ""][:2]
        if verb in {"link", account_actions.UNLINK}:
            viewer, typed = self.responder.viewer(context), code if verb == "link" else verb
            reply = await account_actions.link_account(self.responder.studio, viewer, typed)
            await self.responder.reply(context, reply.text, keyboard(reply.buttons))
            return
        shared = bool(context.requester.community) and await self.responder.is_chat_admin(context)
        owner = GROUP_OWNER if shared else owner_number(context)
        await self.responder.reply(context, *await self._settings_page(context, owner))

    async def toggle_choice(self, context: MessageContext, action: Action, message: int) -> str:
        """Set or clear a choice. Raises NotAllowed or NotYourButtons on another owner's page."""
        chosen = parse_choice(action.choice)
        if chosen is None:
            return ""
        shared = _is_shared(context, action.job)
        if not shared and action.job != owner_number(context):
            raise NotYourButtons
        name, value = chosen
        studio, viewer = self.responder.studio, self.responder.viewer(context)
        new_value = None if (await self._chosen(context, shared=shared)).get(name) == value else value
        if shared:
            await studio.change_community_setting(viewer, name, new_value)
        else:
            await studio.change_setting(viewer, name, new_value)
        if name == "language":
            key = context.requester.community if shared else context.requester.key
            self.responder.languages.choose(key, new_value)
        language = self.responder.languages.language_of(
            context.requester.key, context.requester.community, context.language
        )
        text, keyboard = await self._settings_page(
            replace(context, requester=structs.replace(context.requester, language=language)), action.job
        )
        try:
            await self.responder.messenger.bot.edit_message_text(
                text, context.chat, message, reply_markup=keyboard
            )
        except TelegramError as error:
            log.debug("could not update a settings page", reason=type(error).__name__)
        return ""

    async def _chosen(self, context: MessageContext, *, shared: bool) -> Mapping[str, Any]:
        studio, viewer = self.responder.studio, self.responder.viewer(context)
        return await studio.community_settings(viewer) if shared else await studio.settings(viewer)

    async def _settings_page(self, context: MessageContext, owner: int) -> tuple[str, InlineKeyboardMarkup]:
        """The text and the buttons of the page. Pressing a selected button clears its choice."""
        shared = _is_shared(context, owner)
        chosen = await self._chosen(context, shared=shared)
        language = context.language
        keyboard_rows: list[list[InlineKeyboardButton]] = []
        for name, values in available_choices().items():
            buttons = [self._choice_button(name, value, chosen, owner, language) for value in values]
            keyboard_rows += split_rows(buttons, 3)
        text = messages.translate("settings.chat" if shared else "settings", language)
        return text, InlineKeyboardMarkup(keyboard_rows)

    def _choice_button(
        self, name: str, value: str, chosen: Mapping[str, Any], owner: int, language: str
    ) -> InlineKeyboardButton:
        mark = "✓ " if chosen.get(name) == value else ""
        genre = self.responder.studio.genres.get(value) if name == "genre" else None
        label = f"{genre.emoji} {genre.title}" if genre else _choice_label(name, value, language)
        return button(mark + label, Action("set", owner, f"{name}={value}"))


def _is_shared(context: MessageContext, owner: int) -> bool:
    """Whether the page with this owner number has the settings of the group."""
    return owner == GROUP_OWNER and bool(context.requester.community)


def _choice_label(name: str, value: str, language: str) -> str:
    if name == "seconds":
        return f"{value} s"
    if name == "ask":
        return "🎛 " + messages.translate("button.ask", language)
    if name == "language":
        return messages.translate("language", value)
    if name == "recipe":
        return f"📜 {messages.translate('recipe.inside', language)}: {messages.translate(value, language)}"
    return "🔇 " + messages.translate("music.silence", language) if value == SILENT else value
