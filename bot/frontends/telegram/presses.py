"""Pressed buttons: answered within moments, whatever becomes of what they ask for."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from telegram.error import BadRequest, TelegramError

from bot import messages
from bot.errors import PERSONAL, NotAllowed
from bot.frontends.telegram import taste
from bot.frontends.telegram.desk import Asked, Desk
from bot.frontends.telegram.keyboards import genre_wall
from bot.frontends.telegram.places import Place
from bot.job import Action, Job, ReplyTo
from bot.studio import Ticket

if TYPE_CHECKING:
    from telegram import CallbackQuery, Message

PATIENCE = 2.0
"""Seconds that a person looks at a button's spinner; what takes longer is told by a message."""
ALERT_LIMIT = 200

log = structlog.get_logger(__name__)


@dataclass
class Pressed:
    query: CallbackQuery
    message: Message
    place: Place


class Presses:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def serve(self, pressed: Pressed) -> None:
        action = Action.parse(pressed.query.data or "")
        if action is None:
            await self._answer(pressed)
            return
        task = asyncio.create_task(self._act(action, pressed))
        await asyncio.wait({task}, timeout=PATIENCE)
        if not task.done():
            await self._answer(pressed)
            await self._late(task, pressed)
            return
        try:
            await self._answer(pressed, await task)
        except PERSONAL as error:
            await self._answer(pressed, messages.explain(error, pressed.place.language), alert=True)

    async def _late(self, task: asyncio.Task[str], pressed: Pressed) -> None:
        try:
            await task
        except PERSONAL as error:
            await self._desk.tell(pressed.place, messages.explain(error, pressed.place.language))

    async def _answer(self, pressed: Pressed, text: str = "", *, alert: bool = False) -> None:
        """The spinner stops. A query that is too old to be answered is no reason not to do what it asked."""
        try:
            await self._desk.voice.bot.answer_callback_query(
                pressed.query.id, text[:ALERT_LIMIT] or None, show_alert=alert
            )
        except BadRequest as error:
            log.debug("query not answered", reason=error.message)
            if alert:
                await self._desk.tell(pressed.place, text)
        except TelegramError as error:
            log.warning("query not answered", reason=type(error).__name__)

    async def _act(self, action: Action, pressed: Pressed) -> str:
        """Do it; the words of the toast, if any."""
        language = pressed.place.language
        match action.verb:
            case "score" if not action.choice:
                wall = genre_wall(action.job, self._desk.studio.genres, language)
                text = messages.words("music.choose", language, job=action.job)
                await self._desk.voice.reply(self._where(pressed), text, keyboard=wall)
                return ""
            case "set":
                return await self._set(action, pressed)
            case "buy":
                if self._desk.till is not None:
                    await self._desk.till.invoice(pressed.place, action.choice)
                return ""
            case "go":
                await self._go(action, pressed)
                return ""
            case "recipe":
                asked = Asked(pressed.place, str(action.job), pressed.message, "recipe")
                await self._desk.recipe(asked)
                return ""
        done = await self._desk.studio.act(
            action, pressed.place.requester, self._where(pressed), update=f"telegram:q{pressed.query.id}"
        )
        return await self._tell(done, pressed)

    async def _tell(self, done: Ticket | Job, pressed: Pressed) -> str:
        language = pressed.place.language
        if isinstance(done, Ticket):
            await self._desk.announce(done, language)
            return ""
        if done.state.final:
            text = messages.ended(done, language)
            await self._desk.voice.show(self._desk.with_status(done), text, None)
            return text
        return messages.words(f"state.{done.state}", language)

    async def _set(self, action: Action, pressed: Pressed) -> str:
        chosen = taste.picked(action.choice)
        if chosen is None:
            return ""
        name, value = chosen
        requester = pressed.place.requester
        key = requester.key
        if requester.community:
            if not await self._desk.is_chat_admin(pressed.place.chat, requester.user):
                raise NotAllowed("settings")
            key = requester.community
        now = await self._desk.studio.settings(key)
        await self._desk.studio.change_setting(key, name, None if now.get(name) == value else value)
        text, keyboard = taste.page(await self._desk.studio.settings(key), pressed.place.language)
        try:
            await self._desk.voice.bot.edit_message_text(
                text, pressed.message.chat.id, pressed.message.message_id, reply_markup=keyboard
            )
        except TelegramError as error:
            log.debug("settings page stays", reason=type(error).__name__)
        return ""

    async def _go(self, action: Action, pressed: Pressed) -> None:
        """The two buttons of /start."""
        if action.choice == "try":
            example = messages.words("example", pressed.place.language)
            await self._desk.serve("video", Asked(pressed.place, example, pressed.message))
        else:
            await self._desk.serve("help", Asked(pressed.place, "", pressed.message))

    def _where(self, pressed: Pressed) -> ReplyTo:
        return pressed.place.reply_to(self._desk.limit)
