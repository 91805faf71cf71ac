"""Receive updates from Telegram, by long polling or through a webhook that checks a secret."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlsplit

import msgspec
import structlog
from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage
from telegram import Bot, Update
from telegram.error import Conflict, InvalidToken, RetryAfter, TelegramError

from bot.frontends.telegram import send_errors
from bot.frontends.telegram.update_shape import check_update
from bot.pipeline.delivery import SendError

UPDATE_TYPES = ("message", "callback_query", "inline_query", "pre_checkout_query", "my_chat_member")
LONG_POLL_SECONDS = 30
BATCH_TIMEOUT = 5.0
"""Seconds to wait for a batch to be handled before the next one is fetched."""
RETRY_DELAYS = (1.0, 2.0, 5.0, 15.0, 30.0)
CONFIRM_TIMEOUT = 2.0
"""Seconds that a shutdown waits while it confirms the last handled updates."""
BODY_LIMIT = 2**20
MAX_WEBHOOK_CONNECTIONS = 100
"""How many updates Telegram may send to the webhook at the same time."""

log = structlog.get_logger(__name__)
UpdateHandler = Callable[[Update], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    url: str  # the public https:// address that Telegram calls
    secret: str
    host: str = "127.0.0.1"
    port: int = 8443

    @property
    def path(self) -> str:
        """The path of `url`. A reverse proxy must pass it on unchanged."""
        return urlsplit(self.url).path or "/"


@dataclass(slots=True)
class PollingConnection:
    """Records when Telegram last answered, so that a lost connection can be reported."""

    last_answer_at: float = field(default_factory=time.monotonic)

    @property
    def is_alive(self) -> bool:
        return time.monotonic() - self.last_answer_at < 2 * LONG_POLL_SECONDS

    def record_answer(self) -> None:
        self.last_answer_at = time.monotonic()


async def poll(bot: Bot, handle: UpdateHandler, connection: PollingConnection | None = None) -> None:
    """Fetch and handle updates until cancelled.

    Updates are confirmed only after they were handled, so a crash loses none. Raises InvalidToken.
    """
    connection = connection or PollingConnection()
    await _retry_until_done(bot.delete_webhook)
    connection.record_answer()
    offset, next_offset, tries, tasks = 0, 0, 0, set[asyncio.Task[None]]()
    try:
        while True:
            try:
                updates = await bot.get_updates(
                    offset,
                    timeout=LONG_POLL_SECONDS,
                    read_timeout=LONG_POLL_SECONDS + 15,
                    allowed_updates=UPDATE_TYPES,
                )
            except InvalidToken:
                raise
            except TelegramError as error:
                await asyncio.sleep(_retry_delay(error, tries))
                tries += 1
                continue
            tries = 0
            connection.record_answer()
            batch = {asyncio.create_task(_handle_logging_errors(handle, update)) for update in updates}
            tasks = {task for task in tasks if not task.done()} | batch
            if batch:
                next_offset = updates[-1].update_id + 1
                await asyncio.wait(batch, timeout=BATCH_TIMEOUT)
                offset = next_offset
    finally:
        await asyncio.gather(*tasks, return_exceptions=True)
        if next_offset:
            await _confirm(bot, next_offset)


async def _confirm(bot: Bot, offset: int) -> None:
    """Confirm the handled updates, so that the next start does not receive them again."""
    try:
        await bot.get_updates(offset, timeout=0, limit=1, read_timeout=CONFIRM_TIMEOUT)
    except TelegramError as error:
        log.info("could not confirm the last updates", reason=type(error).__name__)


async def _retry_until_done(call: Callable[[], Awaitable[object]]) -> None:
    """Retry `call` until it succeeds. Raises InvalidToken."""
    tries = 0
    while True:
        try:
            await call()
        except InvalidToken:
            raise
        except TelegramError as error:
            await asyncio.sleep(_retry_delay(error, tries))
            tries += 1
        else:
            return


def _retry_delay(error: TelegramError, tries: int) -> float:
    if isinstance(error, RetryAfter):
        return send_errors.wait_seconds(error)
    if isinstance(error, Conflict):
        log.warning("another process fetches updates with this token: run only one Matinee per token")
    else:
        log.debug("could not fetch updates", reason=type(error).__name__)
    return RETRY_DELAYS[min(tries, len(RETRY_DELAYS) - 1)]


async def serve_webhook(bot: Bot, webhook: Webhook, handle: UpdateHandler) -> None:
    """Serve the webhook until cancelled. Telegram sends an update again unless it is answered with 200."""

    async def receive_update(request: web.Request) -> web.Response:
        if not is_secret_right(request.headers.get("X-Telegram-Bot-Api-Secret-Token", ""), webhook.secret):
            return web.Response(status=403)
        try:
            update = parse_update(await request.read(), bot)
        except ConnectionError:  # the sender hung up in the middle of the body
            update = None
        if update is None:
            return web.Response(status=400)
        await asyncio.shield(_handle_logging_errors(handle, update))
        return web.Response()

    app = web.Application(client_max_size=BODY_LIMIT)
    app.router.add_post(webhook.path, receive_update)
    # Telegram never compresses; aiohttp would log a traceback for a body that claims to be and is not.
    runner = web.AppRunner(app, access_log=None, auto_decompress=False)
    logging.getLogger("aiohttp.server").addFilter(_is_no_bad_request)
    await runner.setup()
    try:
        await web.TCPSite(runner, webhook.host, webhook.port).start()
        await _retry_until_done(
            partial(
                bot.set_webhook,
                webhook.url,
                secret_token=webhook.secret,
                allowed_updates=UPDATE_TYPES,
                max_connections=MAX_WEBHOOK_CONNECTIONS,
            )
        )
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def _is_no_bad_request(record: logging.LogRecord) -> bool:
    """Drop the traceback that aiohttp logs for bytes that are no HTTP; their sender gets status 400."""
    return not (record.exc_info and isinstance(record.exc_info[1], BadHttpMessage))


def is_secret_right(given: str, secret: str) -> bool:
    """Whether a header holds the secret. aiohttp gives bytes that are no text as lone surrogates."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), secret.encode())


def parse_update(body: bytes, bot: Bot) -> Update | None:
    """The update, or None for a body that Telegram would not send."""
    try:
        check_update(body)
        return Update.de_json(msgspec.json.decode(body), bot)
    except Exception as error:  # noqa: BLE001  (python-telegram-bot raises anything for a field of a wrong type)
        log.info("an update of an unknown shape was rejected", reason=type(error).__name__)
        return None


async def _handle_logging_errors(handle: UpdateHandler, update: Update) -> None:
    try:
        await handle(update)
    except (TelegramError, SendError) as error:  # nothing was lost but an answer that nobody can get
        log.info("Telegram refused an answer", update=update.update_id, reason=str(error))
    except Exception:  # one update that fails must not stop the service
        log.exception("could not handle an update", update=update.update_id)
