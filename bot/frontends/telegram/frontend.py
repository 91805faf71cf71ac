"""The studio in Telegram: commands and buttons in, words and clips out."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass

import structlog
from telegram import CallbackQuery, ChatMemberUpdated, InlineKeyboardMarkup, Message, Update
from telegram.constants import ChatType
from telegram.error import BadRequest, InvalidToken, TelegramError

from bot.domain.jobs import Job, State
from bot.frontends.common.gc_tuning import settle_down
from bot.frontends.telegram import admin_notices, command_menu, inline_mode
from bot.frontends.telegram.button_handler import Pressed, Presses
from bot.frontends.telegram.client import Client
from bot.frontends.telegram.clip_sender import Carrier, dressed
from bot.frontends.telegram.command_router import Commands
from bot.frontends.telegram.keyboards import for_status
from bot.frontends.telegram.message_context import Place, community_of, place_of, sender_of
from bot.frontends.telegram.messenger import Voice
from bot.frontends.telegram.responder import Desk, Perform
from bot.frontends.telegram.star_payments import Till
from bot.frontends.telegram.transport import AiohttpRequest
from bot.frontends.telegram.updates import PAUSES, Line, Webhook, listen, poll
from bot.moderation.admin_notices import Notice
from bot.pipeline.delivery import Parcel, Unreachable
from bot.studio.studio import Studio
from generation.progress import Progress

MARGIN = 0.97
LIMIT, LOCAL_LIMIT = int(50e6 * MARGIN), int(2000e6 * MARGIN)
TELEGRAM = "https://api.telegram.org"
CONNECTING = 60.0
"""Seconds that the last word about a job waits for the connection, right after a start."""

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
        self.desk = Desk(studio=studio, voice=self.voice, limit=options.limit, operators=options.admins)
        self.till = Till(self.desk, options.stars) if options.stars else None
        self.commands = Commands(self.desk, self.till)
        self._presses = Presses(self.commands)
        self._carrier = Carrier(self.voice, local=options.local)
        self._studio = studio
        self._menus = command_menu.Menus(self.bot, admins=options.admins, selling=bool(options.stars))
        self.ready = asyncio.Event()
        self._line = Line()

    def administer(self, perform: Perform) -> None:
        """Let /admin do what admins say."""
        self.commands.rule = perform

    async def run(self) -> None:
        try:
            await self._open()
        except InvalidToken:
            log.error("Telegram does not know this token; its chats are not served")  # noqa: TRY400  (the trace would show the token)
            await self.bot.shutdown()
            return
        await self.desk.tongues.recall()
        menus = asyncio.create_task(self._menus.publish())
        try:
            if self.options.webhook:
                await listen(self.bot, self.options.webhook, self.handle)
            else:
                await poll(self.bot, self.handle, self._line)
        except InvalidToken:
            log.error("Telegram does not know this token any more")  # noqa: TRY400  (as above)
        finally:
            self.ready.clear()
            menus.cancel()
            with suppress(asyncio.CancelledError):
                await menus
            await self.bot.shutdown()

    @property
    def admin_chats(self) -> tuple[str, ...]:
        """Each operator's own chat; who never wrote to the bot has none."""
        return tuple(map(str, sorted(self.options.admins)))

    async def notify(self, chat: str, notice: Notice) -> None:
        await admin_notices.post(self.voice, int(chat), notice)

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
            return
        keyboard = await self._last_buttons(job)
        if not await self.voice.show(job, text, keyboard):
            try:
                await self.voice.reply(job.reply_to, text, keyboard=keyboard)
            except BadRequest as error:
                log.warning("not told", job=job.id, reason=error.message)

    async def deliver(self, parcel: Parcel) -> str:
        if not self.ready.is_set():
            raise Unreachable("not connected yet")
        job = self.desk.with_status(parcel.job)
        return await self._carrier.carry(dressed(parcel, job, self._studio.offers(job)))

    async def delivered(self, job: Job) -> None:
        await self.desk.tidy(self.desk.with_status(job))

    async def handle(self, update: Update) -> None:
        """One update, whatever door it came through. Edited messages are not among them."""
        if update.callback_query is not None:
            await self._pressed(update.callback_query)
        elif update.inline_query is not None:
            await inline_mode.offer(update.inline_query, bot=self.bot, studio=self._studio)
        elif update.pre_checkout_query is not None and self.till is not None:
            buyer = update.pre_checkout_query.from_user
            language = self.desk.tongues.of(f"{self.name}:{buyer.id}", "", buyer.language_code)
            await self.till.check(update.pre_checkout_query, language)
        elif update.my_chat_member is not None:
            await self._let_in(update.my_chat_member)
        elif update.message is not None:
            await self._written(update.message)

    async def _last_buttons(self, job: Job) -> InlineKeyboardMarkup | None:
        if job.state is State.FAILED and self.till is not None:
            return await self.till.for_failed(job)
        return for_status(job)

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
                settle_down()
                self.ready.set()
                return

    async def _written(self, message: Message) -> None:
        if message.migrate_to_chat_id:
            await self.voice.move(message.chat.id, message.migrate_to_chat_id)
            return
        if self.till is not None and message.refunded_payment is not None:
            await self.till.returned(message.refunded_payment.telegram_payment_charge_id)
            return
        place = await self._place(message)
        if place is None:
            return
        if self.till is not None and message.successful_payment is not None:
            await self.till.book(message, place)
            return
        asked = self.commands.read(message, place)
        if asked is not None:
            await self.commands.perform(asked)
            if place.requester.admin and not place.private:
                await self._menus.for_admins_of(place.chat)

    async def _place(self, message: Message) -> Place | None:
        sender = sender_of(message)
        if sender is None:
            return None
        code = message.from_user.language_code if message.from_user else None
        key, community = f"{self.name}:{sender.id}", community_of(message.chat)
        language = self.desk.tongues.of(key, community, code)
        return place_of(message, sender, admins=self.options.admins, language=language)

    async def _pressed(self, query: CallbackQuery) -> None:
        if not isinstance(query.message, Message):
            await self.bot.answer_callback_query(query.id)
            return
        key, community = f"{self.name}:{query.from_user.id}", community_of(query.message.chat)
        language = self.desk.tongues.of(key, community, query.from_user.language_code)
        place = place_of(query.message, query.from_user, admins=self.options.admins, language=language)
        await self._presses.serve(Pressed(query, query.message, place))

    async def _let_in(self, change: ChatMemberUpdated) -> None:
        """Into a group that one of the operators looks after, perhaps."""
        grouped = change.chat.type != ChatType.PRIVATE
        if grouped and change.new_chat_member.status in {"member", "administrator"}:
            await self._menus.for_admins_of(change.chat.id)


def _client(options: Options) -> Client:
    root = (options.api or TELEGRAM).rstrip("/")
    return Client(
        options.token,
        base_url=f"{root}/bot",
        base_file_url=f"{root}/file/bot",
        request=AiohttpRequest(),
        get_updates_request=AiohttpRequest(connections=2),
        local_mode=options.local,
    )
