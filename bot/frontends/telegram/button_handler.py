"""Pressed buttons: answered within moments, whatever becomes of what they ask for."""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog
from telegram.error import BadRequest, TelegramError

from bot.domain.errors import PERSONAL, NotForYou
from bot.domain.jobs import Action, Job
from bot.frontends.telegram.invocation import Asked
from bot.frontends.telegram.make_commands import KINDS
from bot.frontends.telegram.message_context import Place
from bot.frontends.telegram.option_menu import Chosen
from bot.frontends.telegram.preferences import own_number
from bot.i18n import messages
from bot.pipeline.delivery import SendError
from bot.studio.studio import DECISIONS, Ticket
from generation.errors import Told, UnknownChoice

if TYPE_CHECKING:
    from telegram import CallbackQuery, Message

    from bot.frontends.telegram.command_router import Commands

PATIENCE = 2.0
"""Seconds that a person looks at a button's spinner; what takes longer is told by a message."""
ALERT_LIMIT = 200
TWICE = 1.5
"""Seconds within which a second tap on the same button is the same wish."""
SWITCHES = frozenset({"set", "ask"})
"""Pressed once more they let go: their check mark shows it."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Pressed:
    query: CallbackQuery
    message: Message
    place: Place

    @property
    def update(self) -> str:
        return f"telegram:q{self.query.id}"


class Presses:
    def __init__(self, commands: Commands, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._commands = commands
        self._desk = commands.desk
        self._clock = clock
        self.patience = PATIENCE
        self._lately: OrderedDict[tuple[str, int, str], float] = OrderedDict()

    async def serve(self, pressed: Pressed) -> None:
        action = Action.parse(pressed.query.data or "")
        if action is None or (action.verb not in SWITCHES and self._is_second_tap(pressed)):
            await self._answer(pressed)
            return
        task = asyncio.create_task(self._act(action, pressed))
        await asyncio.wait({task}, timeout=self.patience)
        if not task.done():
            await self._answer(pressed)
            await self._outcome(task, pressed, late=True)
            return
        await self._outcome(task, pressed, late=False)

    async def _outcome(self, task: asyncio.Task[str], pressed: Pressed, *, late: bool) -> None:
        try:
            text = await task
        except (*PERSONAL, Told) as error:
            await self._refuse(error, pressed, late=late)
        except (SendError, TelegramError) as error:
            log.info("press not answered", reason=str(error))
            await self._answer(pressed)
        except Exception as error:  # the edge of a press: whatever it was, the person is told
            log.exception("a press failed unexpectedly")
            await self._refuse(error, pressed, late=late)
        else:
            if not late:
                await self._answer(pressed, text)

    async def _refuse(self, error: Exception, pressed: Pressed, *, late: bool) -> None:
        if late:
            await self._desk.refuse(pressed.place, error)
            return
        await self._answer(pressed, messages.explain(error, pressed.place.language), alert=True)

    def _is_second_tap(self, pressed: Pressed) -> bool:
        now = self._clock()
        press = (pressed.place.requester.key, pressed.message.message_id, pressed.query.data or "")
        before = self._lately.pop(press, None)
        self._lately[press] = now
        while self._lately and next(iter(self._lately.values())) < now - TWICE:
            self._lately.popitem(last=False)
        return before is not None and now - before < TWICE

    async def _answer(self, pressed: Pressed, text: str = "", *, alert: bool = False) -> None:
        """The spinner stops. A query that is too old to be answered is no reason not to do what it asked."""
        short = text if len(text) <= ALERT_LIMIT else text[: ALERT_LIMIT - 1] + "…"
        try:
            await self._desk.voice.bot.answer_callback_query(
                pressed.query.id, short or None, show_alert=alert
            )
        except BadRequest as error:
            log.debug("query not answered", reason=error.message)
            if alert:
                await self._desk.tell(pressed.place, text)
        except TelegramError as error:
            log.warning("query not answered", reason=type(error).__name__)

    async def _act(self, action: Action, pressed: Pressed) -> str:
        """Do it; the words of the toast, if any."""
        place, commands = pressed.place, self._commands
        match action.verb:
            case "set":
                return await commands.taste.choose(place, action, pressed.message.message_id)
            case "go":
                await self._go(action, pressed)
            case "ask" | "film" | "fix":
                await self._complete(action, pressed)
            case "buy" if commands.till is not None:
                await commands.till.invoice(place, action.choice)
            case "refund" if commands.till is not None:
                await self._said_instead(pressed, await commands.till.give_back_own(place, action.job))
            case "forget":
                if action.job != own_number(place):
                    raise NotForYou
                await self._said_instead(pressed, await commands.looking.forget(place))
            case "appeal":
                return await commands.looking.appealed(place, refusal=action.job)
            case verb if verb in DECISIONS:
                await self._decide(action, pressed)
            case _:
                return await self._about_clip(action, pressed)
        return ""

    async def _decide(self, action: Action, pressed: Pressed) -> None:
        """What an admin makes of a notice: said below it, and its buttons go."""
        answer = await self._desk.studio.decide(action, pressed.place.requester)
        await self._quietly(
            self._desk.voice.bot.edit_message_reply_markup(pressed.place.chat, pressed.message.message_id)
        )
        await self._desk.tell(pressed.place, answer.said(pressed.place.language))

    async def _about_clip(self, action: Action, pressed: Pressed) -> str:
        place, commands = pressed.place, self._commands
        job = await self._desk.visible(action.job, place)
        match action.verb:
            case "score" if not action.choice:
                await commands.making.offer_music(place, job.id)
            case "edit":
                await commands.making.ask_reword(place, job.id)
            case "recipe":
                asked = Asked(place=place, message=pressed.message, name="recipe", words=str(job.id))
                await commands.looking.recipe(asked)
            case "report":
                return await commands.looking.reported(job, place)
            case "delete":
                return await commands.looking.delete(job, place, pressed.message.message_id)
            case _:
                where, update = self._desk.where(place), pressed.update
                done = await self._desk.studio.act(action, place.requester, where, update=update)
                return await self._tell(done, pressed)
        return ""

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

    async def _go(self, action: Action, pressed: Pressed) -> None:
        """The two buttons of /start: what the person would have written is done for them."""
        name, words = ("help", "") if action.choice == "help" else ("video", "example")
        asked = Asked(
            place=replace(pressed.place, message=pressed.message.message_id),
            message=pressed.message,
            name=name,
            words=words and messages.words(words, pressed.place.language),
            key=pressed.update,
        )
        await self._commands.perform(asked)

    async def _complete(self, action: Action, pressed: Pressed) -> None:
        """A press on what we asked about somebody's message: their words stand in the message it answers."""
        asked = await self._commands.asked_by(pressed.message, pressed.place)
        asked = replace(asked, status=str(pressed.message.message_id))
        if action.verb == "fix":
            await self._mend(action.choice, asked, pressed)
            return
        chosen = Chosen.parse(action.choice)
        if chosen is None:
            raise UnknownChoice("button", action.verb, None)
        if action.verb == "film":
            await self._commands.making.film_chosen(asked, chosen)
            return
        keyboard = self._commands.making.redraw(asked, chosen)
        await self._quietly(
            self._desk.voice.bot.edit_message_reply_markup(
                asked.place.chat, pressed.message.message_id, reply_markup=keyboard
            )
        )

    async def _mend(self, choice: str, asked: Asked, pressed: Pressed) -> None:
        """The command once more, with what was meant instead of the slip."""
        wrong, _, meant = choice.partition(">")
        if asked.name not in self._commands.known:
            asked = replace(asked, name=meant.removeprefix("/"))
        words = re.sub(re.escape(wrong), lambda _: meant, asked.words, count=1, flags=re.IGNORECASE)
        if asked.name not in KINDS:
            await self._said_instead(pressed, f"→ {meant}")
        await self._commands.perform(replace(asked, words=words))

    async def _said_instead(self, pressed: Pressed, text: str) -> None:
        """The question has its answer: its buttons go."""
        await self._quietly(
            self._desk.voice.bot.edit_message_text(text, pressed.place.chat, pressed.message.message_id)
        )

    async def _quietly(self, call: Awaitable[object]) -> None:
        try:
            await call
        except TelegramError as error:
            log.debug("buttons stay", reason=type(error).__name__)
