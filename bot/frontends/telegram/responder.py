"""What every command and button needs: answering, refusing kindly, one status message a job."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from msgspec import structs
from telegram.error import BadRequest, TelegramError

from bot.domain.errors import PERSONAL, NoClipMeant, NotYours, PromptRefused
from bot.domain.jobs import Action, Job, ReplyTo, Requester, State
from bot.frontends.telegram.clip_sender import Sent
from bot.frontends.telegram.invocation import Asked
from bot.frontends.telegram.keyboards import fits, for_status, single
from bot.frontends.telegram.languages import Tongues
from bot.frontends.telegram.message_context import Place
from bot.frontends.telegram.messenger import Markup, Voice
from bot.i18n import messages
from bot.pipeline.delivery import SendError
from bot.studio.studio import Studio, Ticket
from generation.errors import Told, UnknownChoice
from generation.request import Kind

if TYPE_CHECKING:
    from telegram import Message

    from bot.admin.admin import Answer

log = structlog.get_logger(__name__)

Perform = Callable[[str, Requester], Awaitable["Answer"]]
Command = Callable[[Asked], Awaitable[None]]


@dataclass
class Desk:
    studio: Studio
    voice: Voice
    limit: int
    operators: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        self.statuses: dict[int, str] = {}  # of jobs that were claimed before their status message was known
        self.tongues = Tongues(lambda: self.studio.languages("telegram"))

    async def serve(self, command: Command, asked: Asked) -> None:
        """Do what was asked; whatever goes wrong is told in one sentence."""
        try:
            await command(asked)
        except PERSONAL as error:
            await self.refuse(asked.place, error)
        except SendError as error:
            log.info("not answered", chat=asked.place.chat, reason=str(error))
        except BadRequest as error:
            log.info("answer refused", chat=asked.place.chat, reason=error.message)
        except Told as error:
            log.warning("could not be done", exc_info=error)
            await self.refuse(asked.place, error)
        except Exception as error:  # the edge of a command: whatever it was, the person is told
            log.exception("a command failed unexpectedly")
            await self.refuse(asked.place, error)

    async def refuse(self, place: Place, error: Exception) -> None:
        """The reason, and a button that mends a slip."""
        way_out = _way_out(error)
        keyboard = single(way_out, place.language) if way_out else None
        try:
            await self.tell(place, messages.explain(error, place.language), keyboard)
        except (SendError, TelegramError) as silent:
            log.info("refusal not told", chat=place.chat, reason=str(silent))

    async def tell(
        self,
        place: Place,
        text: str,
        keyboard: Markup | None = None,
        *,
        code: str = "",
        moments: Mapping[str, float] | None = None,
    ) -> None:
        await self.voice.reply(self.where(place), text, keyboard=keyboard, code=code, moments=moments)

    def where(self, place: Place) -> ReplyTo:
        return place.reply_to(self.limit)

    async def announce(self, ticket: Ticket, language: str, *, status: str = "") -> None:
        """Say where the job stands, once: a command that Telegram repeats is not answered again."""
        job = ticket.job
        if job.reply_to.status:
            return
        if status:
            job = structs.replace(job, reply_to=structs.replace(job.reply_to, status=status))
        text, keyboard = told(ticket, language), for_status(job)
        if not await self.voice.show(job, text, keyboard):
            status = str(await self.voice.reply(job.reply_to, text, keyboard=keyboard))
        self.statuses[job.id] = status
        await self.studio.remember_status(job.id, status)
        await self.tidy(await self.studio.job(job.id))

    def with_status(self, job: Job) -> Job:
        """The job with its status message, also where it was claimed before that was known."""
        if job.reply_to.status or job.id not in self.statuses:
            return job
        return structs.replace(job, reply_to=structs.replace(job.reply_to, status=self.statuses[job.id]))

    async def tidy(self, job: Job) -> None:
        """Take the status message away behind a clip that has a message of its own."""
        if not job.state.final:
            return
        self.statuses.pop(job.id, None)
        sent = Sent.parse(job.message)
        if job.state is not State.DELIVERED or sent is None or not job.reply_to.status:
            return
        if str(sent.message) != job.reply_to.status:
            try:
                await self.voice.bot.delete_message(sent.chat, int(job.reply_to.status))
            except TelegramError as error:
                log.debug("status stays", job=job.id, reason=type(error).__name__)

    async def preferences(self, place: Place) -> Mapping[str, object]:
        """What somebody takes when they do not say: their own choices before those of the group."""
        own = await self.studio.settings(place.requester.key)
        shared = await self.studio.settings(place.requester.community) if place.requester.community else {}
        return shared | own

    async def visible(self, number: int, place: Place) -> Job:
        """The job, if this person may know of it: theirs, or made in the open of the same group."""
        job = await self.studio.job(number)
        mine = job.requester.key == place.requester.key or place.requester.admin
        here = job.reply_to.platform == place.requester.platform and job.reply_to.chat == str(place.chat)
        if not (mine or here):
            raise NotYours(number)
        return job

    async def which(self, asked: Asked, *, waiting: bool = False) -> tuple[str, Job]:
        """The clip that is meant, and the words that are left."""
        first, _, rest = asked.words.partition(" ")
        if first.lstrip("#").isascii() and first.lstrip("#").isdecimal():
            return rest.strip(), await self.visible(int(first.lstrip("#")[:18]), asked.place)
        history = await self.studio.history(asked.place.requester, limit=25)
        if (replied := await self._replied(asked, history)) is not None:
            return asked.words, replied
        fitting = [job for job in history if not waiting or not job.state.final]
        if not fitting:
            raise NoClipMeant(f"/{asked.name}")
        return asked.words, fitting[0]

    async def replied(self, asked: Asked) -> Job | None:
        """The clip of ours that is answered, if one is."""
        return await self._replied(asked, await self.studio.history(asked.place.requester, limit=25))

    async def _replied(self, asked: Asked, history: list[Job]) -> Job | None:
        """The clip whose message, status or command is answered."""
        message = asked.message.reply_to_message
        if message is None:
            return None
        if number := _on_buttons(message, self.voice.bot.id):
            return await self.visible(number, asked.place)
        for job in history:
            sent = Sent.parse(job.message)
            numbers = {job.reply_to.message, job.reply_to.status, str(sent.message) if sent else ""}
            if job.reply_to.chat == str(asked.place.chat) and str(message.message_id) in numbers:
                return job
        return None

    async def is_chat_admin(self, place: Place) -> bool:
        if place.rules_here:
            return True
        if place.private or int(place.requester.user) < 0:
            return False
        try:
            member = await self.voice.bot.get_chat_member(place.chat, int(place.requester.user))
        except TelegramError:
            return False
        return member.status in {"administrator", "creator"}


def _on_buttons(message: Message, bot: int) -> int:
    """The number of the clip that our message's buttons are about, or 0."""
    if message.from_user is None or message.from_user.id != bot or message.reply_markup is None:
        return 0
    for row in message.reply_markup.inline_keyboard:
        for one in row:
            action = Action.parse(str(one.callback_data or ""))
            if action is not None and action.job and action.verb != "set":
                return action.job
    return 0


def _way_out(error: Exception) -> Action | None:
    """What somebody may do about a refusal by a tap: say what was meant, or ask an admin."""
    if isinstance(error, PromptRefused) and error.refusal:
        return Action("appeal", error.refusal)
    if isinstance(error, UnknownChoice) and error.near and ">" not in error.value:
        mended = Action("fix", 0, f"{error.value}>{error.near}")
        return mended if fits(mended) else None
    return None


def told(ticket: Ticket, language: str) -> str:
    job = ticket.job
    eta = (ticket.eta.low, ticket.eta.high) if ticket.eta else None
    lines = [messages.queued(job, place=ticket.place or 0, eta=eta, language=language)]
    if ticket.adjustments:
        lines.append(messages.adjusted(ticket.adjustments, language))
    if job.request.kind is not Kind.IMAGE:
        music = messages.music_line(job.request.music, language)
        lines.append(messages.words("chosen", language, music=music))
    return "\n".join(lines)
