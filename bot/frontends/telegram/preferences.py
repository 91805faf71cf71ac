"""What somebody likes when they do not say: /settings, kept as plain choices and changed by buttons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import structlog
from msgspec import structs
from telegram import InlineKeyboardButton, InlineKeyboardMarkup
from telegram.error import TelegramError

from bot.domain.errors import NotAllowed, NotForYou
from bot.domain.jobs import Action
from bot.frontends.telegram.keyboards import button, rows
from bot.i18n import messages
from generation.music.common.music_choice import SILENT
from generation.request import Wish

if TYPE_CHECKING:
    from bot.frontends.telegram.invocation import Asked
    from bot.frontends.telegram.message_context import Place
    from bot.frontends.telegram.responder import Command, Desk

GENRES = ("lofi", "pop", "jazz", "cinematic", "ambient", SILENT)
LENGTHS = ("3", "5", "8")
SHAPES = ("1:1", "16:9", "9:16")
ASKING = "yes"
CHATS = 0
"""Stands for the chat's own settings where a button names whose it changes."""

log = structlog.get_logger(__name__)


def choices() -> dict[str, tuple[str, ...]]:
    return {
        "seconds": LENGTHS,
        "aspect": SHAPES,
        "genre": GENRES,
        "ask": (ASKING,),
        "recipe": ("yes", "no"),
        "language": messages.languages(),
    }


def apply(wish: Wish, chosen: Mapping[str, Any]) -> Wish:
    """Fill in only what the person left open."""
    music = wish.music
    if music.genre is None and chosen.get("genre"):
        music = replace(music, genre=str(chosen["genre"]))
    seconds = wish.seconds
    if seconds is None and chosen.get("seconds"):
        seconds = float(chosen["seconds"])
    aspect = wish.aspect
    if aspect is None and wish.width is None and chosen.get("aspect"):
        aspect = str(chosen["aspect"])
    model = wish.model or str(chosen.get("model") or "") or None
    return replace(wish, music=music, seconds=seconds, aspect=aspect, model=model)


def own_number(place: Place) -> int:
    """Names a person in a button; a group or channel that writes has a number below zero."""
    return abs(int(place.requester.user))


def picked(choice: str) -> tuple[str, str] | None:
    """The name and value that a button means, if it is one of ours."""
    name, _, value = choice.partition("=")
    return (name, value) if value in choices().get(name, ()) else None


@dataclass
class Taste:
    desk: Desk

    @property
    def commands(self) -> dict[str, Command]:
        return {"settings": self.settings}

    async def settings(self, asked: Asked) -> None:
        """An admin of a group changes the group's; everybody else their own. `link` joins two platforms."""
        place = asked.place
        if asked.words.split()[:1] == ["link"]:
            done = await self.desk.studio.link_up(place.requester, asked.words.removeprefix("link"))
            said = messages.linked(code=done.code, other=done.other, language=place.language)
            await self.desk.tell(place, said)
            return
        shared = bool(place.requester.community) and await self.desk.is_chat_admin(place)
        owner = CHATS if shared else own_number(place)
        await self.desk.tell(place, *await self._page(place, owner))

    async def choose(self, place: Place, action: Action, message: int) -> str:
        """A pressed choice; raises NotAllowed or NotForYou for somebody else's page."""
        chosen = picked(action.choice)
        if chosen is None:
            return ""
        key = await self._key(place, action.job)
        name, value = chosen
        now = await self.desk.studio.settings(key)
        wanted = None if now.get(name) == value else value
        await self.desk.studio.change_setting(key, name, wanted)
        if name == "language":
            self.desk.tongues.choose(key, wanted)
        language = self.desk.tongues.of(place.requester.key, place.requester.community, place.language)
        text, keyboard = await self._page(
            replace(place, requester=structs.replace(place.requester, language=language)), action.job
        )
        try:
            await self.desk.voice.bot.edit_message_text(text, place.chat, message, reply_markup=keyboard)
        except TelegramError as error:
            log.debug("settings page stays", reason=type(error).__name__)
        return ""

    async def _key(self, place: Place, owner: int) -> str:
        if owner == CHATS and place.requester.community:
            if not await self.desk.is_chat_admin(place):
                raise NotAllowed("settings")
            return place.requester.community
        if owner != own_number(place):
            raise NotForYou
        return place.requester.key

    async def _page(self, place: Place, owner: int) -> tuple[str, InlineKeyboardMarkup]:
        """What is chosen, and a button for everything else; pressing a chosen one lets it go."""
        shared = owner == CHATS and bool(place.requester.community)
        key = place.requester.community if shared else place.requester.key
        chosen = await self.desk.studio.settings(key)
        language = place.language
        drawn: list[list[InlineKeyboardButton]] = []
        for name, values in choices().items():
            made = [self._choice(name, value, chosen, owner, language) for value in values]
            drawn += rows(made, 3)
        text = messages.words("settings.chat" if shared else "settings", language)
        return text, InlineKeyboardMarkup(drawn)

    def _choice(
        self, name: str, value: str, chosen: Mapping[str, Any], owner: int, language: str
    ) -> InlineKeyboardButton:
        mark = "✓ " if chosen.get(name) == value else ""
        genre = self.desk.studio.genres.get(value) if name == "genre" else None
        label = f"{genre.emoji} {genre.title}" if genre else _label(name, value, language)
        return button(mark + label, Action("set", owner, f"{name}={value}"))


def _label(name: str, value: str, language: str) -> str:
    if name == "seconds":
        return f"{value} s"
    if name == "ask":
        return "🎛 " + messages.words("button.ask", language)
    if name == "language":
        return messages.words("language", value)
    if name == "recipe":
        return f"📜 {messages.words('recipe.inside', language)}: {messages.words(value, language)}"
    return "🔇 " + messages.words("silence", language) if value == SILENT else value
