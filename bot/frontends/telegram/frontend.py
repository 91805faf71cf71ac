"""The Telegram frontend: handles updates, shows status and sends clips."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass

import structlog
from telegram import CallbackQuery, ChatMemberUpdated, InlineKeyboardMarkup, Message, Update
from telegram.constants import ChatType
from telegram.error import BadRequest, InvalidToken, TelegramError

from bot.domain.events import Notice
from bot.domain.jobs import Job, JobState
from bot.frontends.common.gc_tuning import freeze_startup_objects
from bot.frontends.common.upload_limit import UPLOAD_LIMIT_FACTOR
from bot.frontends.telegram import admin_notices, command_menu, inline_mode
from bot.frontends.telegram.button_handler import ButtonHandler, ButtonPress
from bot.frontends.telegram.client import Client
from bot.frontends.telegram.clip_sender import ClipSender, with_details
from bot.frontends.telegram.command_router import CommandRouter
from bot.frontends.telegram.keyboards import status_keyboard
from bot.frontends.telegram.message_context import MessageContext, community_of, context_of, sender_of
from bot.frontends.telegram.message_sender import Messenger
from bot.frontends.telegram.star_payments import StarPayments
from bot.frontends.telegram.transport import AiohttpRequest
from bot.frontends.telegram.update_replies import Responder
from bot.frontends.telegram.updates import RETRY_DELAYS, PollingConnection, Webhook, poll, serve_webhook
from bot.pipeline.delivery import OutgoingClip, Unreachable
from bot.studio.studio import Studio
from generation.progress import Progress

UPLOAD_LIMIT, LOCAL_UPLOAD_LIMIT = int(50e6 * UPLOAD_LIMIT_FACTOR), int(2000e6 * UPLOAD_LIMIT_FACTOR)
API_URL = "https://api.telegram.org"
CONNECT_TIMEOUT = 60.0
"""Seconds that a final status waits for the connection after a start."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the operator configured.

    `api_url` is the operator's own Bot API server; `local_server` says that it shares the disk with Matinee.
    """

    token: str
    admins: frozenset[int] = frozenset()
    api_url: str = ""
    local_server: bool = False
    webhook: Webhook | None = None
    stars_per_credit: int = 0  # the price of a credit; 0 disables sales

    @property
    def upload_limit(self) -> int:
        return LOCAL_UPLOAD_LIMIT if self.local_server else UPLOAD_LIMIT


class Telegram:
    """Implements Frontend for Telegram."""

    name = "telegram"
    deduplicates = False

    def __init__(self, studio: Studio, options: Options) -> None:
        self.options = options
        self.bot = _build_client(options)
        self.messenger = Messenger(self.bot, on_chat_moved=self._on_chat_moved)
        self.responder = Responder(
            studio=studio,
            messenger=self.messenger,
            upload_limit=options.upload_limit,
            operators=options.admins,
        )
        self._star_payments = StarPayments(self.responder, options.stars_per_credit)
        self.payments = self._star_payments if options.stars_per_credit else None  # None: nothing is sold
        self.router = CommandRouter(self.responder, self.payments)
        self._button_handler = ButtonHandler(self.router)
        self._clip_sender = ClipSender(self.messenger, local_server=options.local_server)
        self._studio = studio
        self._command_menu = command_menu.CommandMenu(
            self.bot, admins=options.admins, sells_credits=bool(options.stars_per_credit)
        )
        self.ready = asyncio.Event()
        self._polling = PollingConnection()

    async def run(self) -> None:
        try:
            await self._connect()
        except InvalidToken:
            log.error("Telegram rejects the token; the Telegram frontend stops")  # noqa: TRY400  (a traceback would show the token)
            await self.bot.shutdown()
            return
        await self.responder.languages.load_choices()
        background = (self._command_menu.publish(), self._star_payments.resume_refunds_periodically())
        tasks = [asyncio.create_task(each) for each in background]
        try:
            if self.options.webhook:
                await serve_webhook(self.bot, self.options.webhook, self.handle_update)
            else:
                await poll(self.bot, self.handle_update, self._polling)
        except InvalidToken:
            log.error("Telegram no longer accepts the token; the Telegram frontend stops")  # noqa: TRY400  (as above)
        finally:
            self.ready.clear()
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            await self.bot.shutdown()

    @property
    def admin_chats(self) -> tuple[str, ...]:
        """The admins' private chats. An admin who never wrote to the bot cannot be reached there."""
        return tuple(map(str, sorted(self.options.admins)))

    async def notify(self, chat: str, notice: Notice) -> None:
        await admin_notices.send_notice(self.messenger, int(chat), notice)

    async def notify_user(self, user: str, notice: Notice) -> None:
        """Send a notice to the user's private chat. Raises a SendError or BadRequest."""
        await admin_notices.send_notice(self.messenger, int(user), notice)

    def is_connected(self) -> bool:
        """Whether Telegram answers. With a webhook only the start is checked, since Telegram calls then."""
        return self.ready.is_set() and (self.options.webhook is not None or self._polling.is_alive)

    async def show_status(self, job: Job, text: str, *, progress: Progress | None = None) -> None:
        if progress is not None and not self.ready.is_set():
            return
        try:
            await asyncio.wait_for(self.ready.wait(), CONNECT_TIMEOUT)
        except TimeoutError:
            raise Unreachable("not connected") from None
        job = self.responder.with_status(job)
        if progress is not None:
            await self.messenger.show_progress(job, text, progress, status_keyboard(job))
            return
        keyboard = await self._final_buttons(job)
        if not await self.messenger.edit_status(job, text, keyboard):
            try:
                await self.messenger.reply(job.reply_to, text, keyboard=keyboard)
            except BadRequest as error:
                log.warning("could not send a final status", job=job.id, reason=error.message)

    async def send_clip(self, outgoing: OutgoingClip) -> str:
        if not self.ready.is_set():
            raise Unreachable("not connected yet")
        job = self.responder.with_status(outgoing.job)
        return await self._clip_sender.send(
            with_details(outgoing, job, self._studio.available_derivatives(job))
        )

    async def after_delivery(self, job: Job) -> None:
        await self.responder.remove_status_message(self.responder.with_status(job))

    async def handle_update(self, update: Update) -> None:
        """Handle one update, from polling or from the webhook. Edited messages are not requested."""
        if update.callback_query is not None:
            await self._on_button_pressed(update.callback_query)
        elif update.inline_query is not None:
            await inline_mode.answer_query(update.inline_query, bot=self.bot, studio=self._studio)
        elif update.pre_checkout_query is not None and self.payments is not None:
            buyer = update.pre_checkout_query.from_user
            language = self.responder.languages.language_of(
                f"{self.name}:{buyer.id}", "", buyer.language_code
            )
            await self.payments.answer_checkout(update.pre_checkout_query, language)
        elif update.my_chat_member is not None:
            await self._on_membership_changed(update.my_chat_member)
        elif update.message is not None:
            await self._on_message(update.message)

    async def _final_buttons(self, job: Job) -> InlineKeyboardMarkup | None:
        if job.state is JobState.FAILED and self.payments is not None:
            return await self.payments.refund_keyboard_for_failed(job)
        return status_keyboard(job)

    async def _on_chat_moved(self, old: int, new: int) -> None:
        await self._studio.move_chat(self.name, str(old), str(new))

    async def _connect(self) -> None:
        """Retry until connected. Raises InvalidToken."""
        tries = 0
        while True:
            try:
                await self.bot.initialize()
            except InvalidToken:
                raise
            except TelegramError as error:
                log.warning("could not connect to Telegram; retrying", reason=type(error).__name__)
                await asyncio.sleep(RETRY_DELAYS[min(tries, len(RETRY_DELAYS) - 1)])
                tries += 1
            else:
                freeze_startup_objects()
                self.ready.set()
                return

    async def _on_message(self, message: Message) -> None:
        if message.migrate_to_chat_id:
            await self.messenger.record_move(message.chat.id, message.migrate_to_chat_id)
            return
        if message.refunded_payment is not None:
            await self._star_payments.record_refund(message)
            return
        context = await self._message_context(message)
        if context is None:
            return
        if self.payments is not None and message.successful_payment is not None:
            await self.payments.record_payment(message, context)
            return
        invocation = self.router.parse_message(message, context)
        if invocation is not None:
            await self.router.perform(invocation)
            if context.requester.admin and not context.private:
                await self._command_menu.publish_to_group_admins(context.chat)

    async def _message_context(self, message: Message) -> MessageContext | None:
        sender = sender_of(message)
        if sender is None:
            return None
        code = message.from_user.language_code if message.from_user else None
        key, community = f"{self.name}:{sender.id}", community_of(message.chat)
        language = self.responder.languages.language_of(key, community, code)
        return context_of(message, sender, admins=self.options.admins, language=language)

    async def _on_button_pressed(self, query: CallbackQuery) -> None:
        if not isinstance(query.message, Message):
            await self.bot.answer_callback_query(query.id)
            return
        key, community = f"{self.name}:{query.from_user.id}", community_of(query.message.chat)
        language = self.responder.languages.language_of(key, community, query.from_user.language_code)
        context = context_of(query.message, query.from_user, admins=self.options.admins, language=language)
        await self._button_handler.handle(ButtonPress(query, query.message, context))

    async def _on_membership_changed(self, change: ChatMemberUpdated) -> None:
        """Publish the admin menu if the bot was added to a group."""
        in_group = change.chat.type != ChatType.PRIVATE
        if in_group and change.new_chat_member.status in {"member", "administrator"}:
            await self._command_menu.publish_to_group_admins(change.chat.id)


def _build_client(options: Options) -> Client:
    root = (options.api_url or API_URL).rstrip("/")
    return Client(
        options.token,
        base_url=f"{root}/bot",
        base_file_url=f"{root}/file/bot",
        request=AiohttpRequest(),
        get_updates_request=AiohttpRequest(connections=2),
        local_mode=options.local_server,
    )
