"""The studio in Telegram: commands and buttons in, words and clips out."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

import structlog
from telegram import Bot, Message, Update
from telegram.constants import ChatType
from telegram.error import BadRequest, InvalidToken, TelegramError

from bot.delivery import Parcel, Unreachable
from bot.frontends.telegram import menu, sharing
from bot.frontends.telegram.desk import Asked, Desk, Perform
from bot.frontends.telegram.doors import PAUSES, Line, Webhook, listen, poll
from bot.frontends.telegram.keyboards import for_status
from bot.frontends.telegram.parcels import Carrier
from bot.frontends.telegram.places import place_of
from bot.frontends.telegram.presses import Pressed, Presses
from bot.frontends.telegram.till import Till
from bot.frontends.telegram.transport import AiohttpRequest
from bot.frontends.telegram.voice import Voice
from bot.job import Job
from bot.studio import Studio
from generation.progress import Progress

MARGIN = 0.97
LIMIT, LOCAL_LIMIT = int(50e6 * MARGIN), int(2000e6 * MARGIN)
TELEGRAM = "https://api.telegram.org"
CONNECTING = 60.0
"""Seconds that the last word about a job waits for the connection, right after a start."""
COMMAND = re.compile(r"/([a-zA-Z0-9_]{1,32})(?:@([a-zA-Z0-9_]+))?(?:\s+|$)")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the operator set. `api` is a Bot API server of one's own, `local` if it shares our disk."""

    token: str
    admins: frozenset[int] = frozenset()
    api: str = ""
    local: bool = False
    webhook: Webhook | None = None
    stars: int = 0  # the price of a credit; 0 sells none

    @property
    def limit(self) -> int:
        return LOCAL_LIMIT if self.local else LIMIT


class Telegram:
    """A Frontend."""

    name = "telegram"
    deduplicates = False

    def __init__(self, studio: Studio, options: Options) -> None:
        self.options = options
        self.bot = _client(options)
        self.voice = Voice(self.bot, on_move=self._moved)
        self.desk = Desk(studio=studio, voice=self.voice, limit=options.limit)
        if options.stars:
            self.desk.till = Till(studio, self.voice, options.stars)
        self._presses = Presses(self.desk)
        self._carrier = Carrier(self.voice, local=options.local)
        self._studio = studio
        self.ready = asyncio.Event()
        self._line = Line()

    def administer(self, perform: Perform) -> None:
        """Let /admin do what admins say."""
        self.desk.perform = perform

    async def run(self) -> None:
        try:
            await self._open()
            await menu.publish(self.bot, admins=self.options.admins, admin_commands=("admin",))
            if self.options.webhook:
                await listen(self.bot, self.options.webhook, self.handle)
            else:
                await poll(self.bot, self.handle, self._line)
        except InvalidToken:
            log.error("Telegram does not know this token; its chats are not served")  # noqa: TRY400  (the trace would show the token)
        finally:
            self.ready.clear()
            await self.bot.shutdown()

    def reached(self) -> bool:
        """Whether Telegram answers; behind a webhook it is Telegram that calls, when it has something."""
        return self.ready.is_set() and (self.options.webhook is not None or self._line.holds)

    async def say(self, job: Job, text: str, *, progress: Progress | None = None) -> None:
        if progress is not None and not self.ready.is_set():
            return
        try:
            await asyncio.wait_for(self.ready.wait(), CONNECTING)
        except TimeoutError:
            raise Unreachable("not connected") from None
        job = self.desk.with_status(job)
        if progress is not None:
            await self.voice.glance(job, text, progress, for_status(job))
        elif not await self.voice.show(job, text, for_status(job)):
            try:
                await self.voice.reply(job.reply_to, text, keyboard=for_status(job))
            except BadRequest as error:
                log.warning("not told", job=job.id, reason=error.message)

    async def deliver(self, parcel: Parcel) -> str:
        if not self.ready.is_set():
            raise Unreachable("not connected yet")
        job = self.desk.with_status(parcel.job)
        return await self._carrier.carry(
            Parcel(job=job, clip=parcel.clip, text=parcel.text, buttons=parcel.buttons, nonce=parcel.nonce)
        )

    async def delivered(self, job: Job) -> None:
        await self.desk.tidy(self.desk.with_status(job))

    async def handle(self, update: Update) -> None:
        """One update, whatever door it came through. Edited messages are not among them."""
        if update.callback_query is not None:
            await self._pressed(update)
        elif update.inline_query is not None:
            await sharing.offer(update.inline_query, bot=self.bot, studio=self._studio)
        elif update.pre_checkout_query is not None and self.desk.till is not None:
            await self.desk.till.check(update.pre_checkout_query)
        elif update.message is not None:
            await self._written(update.message)

    async def _moved(self, old: int, new: int) -> None:
        await self._studio.move_chat(self.name, str(old), str(new))

    async def _open(self) -> None:
        """Connect, however long the network takes; raises InvalidToken."""
        tries = 0
        while True:
            try:
                await self.bot.initialize()
            except InvalidToken:
                raise
            except TelegramError as error:
                log.warning("Telegram not reached yet", reason=type(error).__name__)
                await asyncio.sleep(PAUSES[min(tries, len(PAUSES) - 1)])
                tries += 1
            else:
                self.ready.set()
                return

    async def _written(self, message: Message) -> None:
        if message.migrate_to_chat_id:
            await self.voice.move(message.chat.id, message.migrate_to_chat_id)
            return
        if message.from_user is None or message.from_user.is_bot:
            return
        if message.successful_payment is not None and self.desk.till is not None:
            place = place_of(message, message.from_user, admins=self.options.admins)
            await self.desk.till.book(message, place)
            return
        text = message.text or message.caption or ""
        found = COMMAND.match(text)
        if found is None or (found[2] and found[2].lower() != self.bot.username.lower()):
            return
        name = found[1].lower()
        private = message.chat.type == ChatType.PRIVATE
        if name not in self.desk.commands and not (private or found[2]):
            return  # in a group it is probably another bot's
        place = place_of(message, message.from_user, admins=self.options.admins)
        await self.desk.serve(name, Asked(place, text[found.end() :].strip(), message))

    async def _pressed(self, update: Update) -> None:
        query = update.callback_query
        assert query is not None
        if not isinstance(query.message, Message):
            await self.bot.answer_callback_query(query.id)
            return
        place = place_of(query.message, query.from_user, admins=self.options.admins)
        await self._presses.serve(Pressed(query, query.message, place))


def _client(options: Options) -> Bot:
    root = (options.api or TELEGRAM).rstrip("/")
    return Bot(
        options.token,
        base_url=f"{root}/bot",
        base_file_url=f"{root}/file/bot",
        request=AiohttpRequest(),
        get_updates_request=AiohttpRequest(connections=2),
        local_mode=options.local,
    )
