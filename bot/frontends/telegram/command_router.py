"""All commands under one roof: which there are, and what a message or a press asks of them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from telegram import Chat

from bot.admin.admin import VERBS
from bot.domain.errors import MessageGone, NotAllowed, NotForYou
from bot.frontends.telegram import image_files, questions
from bot.frontends.telegram.command_menu import EVERYBODY
from bot.frontends.telegram.info_commands import Looking
from bot.frontends.telegram.invocation import Asked
from bot.frontends.telegram.make_commands import Making
from bot.frontends.telegram.message_context import Place, sender_of
from bot.frontends.telegram.preferences import Taste
from bot.frontends.telegram.responder import Command, Desk, Perform
from bot.frontends.telegram.start_command import Hello
from bot.i18n import messages
from generation.errors import UnknownChoice
from generation.request import near

if TYPE_CHECKING:
    from telegram import Message

    from bot.frontends.telegram.star_payments import Till

COMMAND = re.compile(r"/([a-zA-Z0-9_]{1,32})(?:@([a-zA-Z0-9_]+))?(?:\s+|$)")


class Commands:
    def __init__(self, desk: Desk, till: Till | None = None) -> None:
        self.desk = desk
        self.till = till
        self.making = Making(desk)
        self.looking = Looking(desk)
        self.taste = Taste(desk)
        self.rule: Perform = desk.studio.admin.perform
        self.known: dict[str, Command] = {
            **self.making.commands,
            **self.looking.commands,
            **self.taste.commands,
            **Hello(desk).commands,
            **(till.commands if till else {}),
            "admin": self.admin,
        }

    def read(self, message: Message, place: Place) -> Asked | None:
        """What a message asks for; None where it asks for nothing of ours."""
        text = message.text or message.caption or ""
        found = COMMAND.match(text)
        if found is not None:
            return self._command(found, message, place)
        if note := questions.answered(message, self.desk.voice.bot.id):
            words = text if note.name == "edit" else f"{note.words} {text}".strip()
            number = note.words if note.name == "edit" else ""
            return Asked(place=place, message=message, name=f"{note.name}{number}", words=words, answers=True)
        if not place.private or (message.media_group_id and not text):
            return None
        return Asked(place=place, message=message, name="", words=text)

    def _command(self, found: re.Match[str], message: Message, place: Place) -> Asked | None:
        name, bot, words = found[1].lower(), found[2], message_words(message, found.end())
        if bot and bot.lower() != self.desk.voice.bot.username.lower():
            return None
        if not place.private and (message.forward_origin or not (bot or name in self.known)):
            return None  # somebody shows a command around, or it is another bot's
        return Asked(place=place, message=message, name=name, words=words)

    async def perform(self, asked: Asked) -> None:
        """Do it; whatever goes wrong is told."""
        await self.desk.serve(self._command_for(asked), asked)

    def _command_for(self, asked: Asked) -> Command:
        if not asked.name:
            return self._unnamed
        if asked.answers and asked.name.startswith("edit"):
            return self._reword
        return self.known.get(asked.name, self._unknown)

    async def _reword(self, asked: Asked) -> None:
        await self.making.reword(asked, int(asked.name.removeprefix("edit")))

    async def _unknown(self, asked: Asked) -> None:
        meant = near(asked.name, EVERYBODY)
        raise UnknownChoice("command", f"/{asked.name}", meant and f"/{meant}")

    async def _unnamed(self, asked: Asked) -> None:
        """In private a sentence may be a scene, and a picture may be meant to move: the wall asks."""
        picture = image_files.of(asked.message)
        if not asked.words and picture is None:
            await self.desk.tell(asked.place, messages.words("hint", asked.place.language))
            return
        await self.making.offer(replace(asked, name=_usual(asked.message)))

    async def admin(self, asked: Asked) -> None:
        """Admin verbs in the words of every chat and terminal: /admin quota grant 42 5"""
        place = asked.place
        if not place.requester.admin:
            raise NotAllowed("admin")
        if not asked.words:
            await self.desk.tell(place, "\n".join(f"/admin {verb.usage}" for verb in VERBS.values()))
            return
        answer = await self.rule(asked.words, place.requester)
        await self.desk.tell(place, answer.said(place.language))

    async def asked_by(self, question: Message, place: Place) -> Asked:
        """The message that a question of ours answers, as its author pressed a button there."""
        message = question.reply_to_message
        if message is None:
            raise MessageGone
        author = sender_of(message)
        hidden = isinstance(author, Chat) and author.id == place.chat
        if author is None or not (
            str(author.id) == place.requester.user or (hidden and await self.desk.is_chat_admin(place))
        ):
            raise NotForYou
        asked = self.read(message, replace(place, message=message.message_id))
        if asked is None or not asked.name:
            words = message.text or message.caption or ""
            place = replace(place, message=message.message_id)
            return Asked(place=place, message=message, name=_usual(message), words=words)
        return asked


def _usual(message: Message) -> str:
    return "animate" if image_files.of(message) else "video"


def message_words(message: Message, after: int) -> str:
    return (message.text or message.caption or "")[after:].strip()
