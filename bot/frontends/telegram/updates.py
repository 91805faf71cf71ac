"""How updates come in: fetched by polling, or brought to a webhook that only Telegram can knock at."""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import structlog
from aiohttp import web
from telegram import Bot, Update
from telegram.error import Conflict, InvalidToken, RetryAfter, TelegramError

from bot.frontends.telegram import send_errors

KINDS = ("message", "callback_query", "inline_query", "pre_checkout_query", "my_chat_member")
LONG_POLL = 30
HANDLING = 5.0
"""Seconds that a batch may take before the next is fetched beside it."""
PAUSES = (1.0, 2.0, 5.0, 15.0, 30.0)
FAREWELL = 2.0
"""Seconds that a stop waits for Telegram to hear what was handled."""
BODY_LIMIT = 2**20
CONNECTIONS = 100
"""How many updates Telegram may bring to a webhook at the same time."""

log = structlog.get_logger(__name__)
Handler = Callable[[Update], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    address: str  # what Telegram calls, https://...
    secret: str
    host: str = "127.0.0.1"
    port: int = 8443

    @property
    def path(self) -> str:
        """As in the address: a proxy in front of us passes it on unchanged."""
        return urlsplit(self.address).path or "/"


@dataclass(slots=True)
class Line:
    """When Telegram last answered."""

    heard_at: float = field(default_factory=time.monotonic)

    @property
    def holds(self) -> bool:
        return time.monotonic() - self.heard_at < 2 * LONG_POLL

    def heard(self) -> None:
        self.heard_at = time.monotonic()


async def poll(bot: Bot, handle: Handler, line: Line | None = None) -> None:
    """An update is confirmed once it was handled, so a crash loses none."""
    line = line or Line()
    await _insist(bot.delete_webhook)
    line.heard()
    offset, begun, tries, tasks = 0, 0, 0, set[asyncio.Task[None]]()
    try:
        while True:
            try:
                updates = await bot.get_updates(
                    offset, timeout=LONG_POLL, read_timeout=LONG_POLL + 15, allowed_updates=KINDS
                )
            except InvalidToken:
                raise
            except TelegramError as error:
                await asyncio.sleep(_pause(error, tries))
                tries += 1
                continue
            tries = 0
            line.heard()
            batch = {asyncio.create_task(_safely(handle, update)) for update in updates}
            tasks = {task for task in tasks if not task.done()} | batch
            if batch:
                begun = updates[-1].update_id + 1
                await asyncio.wait(batch, timeout=HANDLING)
                offset = begun
    finally:
        await asyncio.gather(*tasks, return_exceptions=True)
        if begun:
            await _confirm(bot, begun)


async def _confirm(bot: Bot, offset: int) -> None:
    """What was handled is not told again at the next start."""
    try:
        await bot.get_updates(offset, timeout=0, limit=1, read_timeout=FAREWELL)
    except TelegramError as error:
        log.info("last updates not confirmed", reason=type(error).__name__)


async def _insist(call: Callable[[], Awaitable[object]]) -> None:
    """Again and again until Telegram has done it; raises InvalidToken."""
    tries = 0
    while True:
        try:
            await call()
        except InvalidToken:
            raise
        except TelegramError as error:
            await asyncio.sleep(_pause(error, tries))
            tries += 1
        else:
            return


def _pause(error: TelegramError, tries: int) -> float:
    if isinstance(error, RetryAfter):
        return send_errors.seconds(error)
    if isinstance(error, Conflict):
        log.warning("another process fetches this bot's updates: run only one Matinee on a token")
    else:
        log.debug("updates not fetched", reason=type(error).__name__)
    return PAUSES[min(tries, len(PAUSES) - 1)]


async def listen(bot: Bot, hook: Webhook, handle: Handler) -> None:
    """Serve the webhook until cancelled. Telegram repeats what was not answered with 200."""

    async def knock(request: web.Request) -> web.Response:
        told = request.headers.get("X-Telegram-Bot-Api-Secret-Token", "")
        if not hmac.compare_digest(told.encode(), hook.secret.encode()):
            return web.Response(status=403)
        update = _update(await request.text(), bot)
        if update is None:
            return web.Response(status=400)
        await asyncio.shield(_safely(handle, update))
        return web.Response()

    app = web.Application(client_max_size=BODY_LIMIT)
    app.router.add_post(hook.path, knock)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, hook.host, hook.port).start()
        await _insist(
            partial(
                bot.set_webhook,
                hook.address,
                secret_token=hook.secret,
                allowed_updates=KINDS,
                max_connections=CONNECTIONS,
            )
        )
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def _update(body: str, bot: Bot) -> Update | None:
    try:
        data: Any = json.loads(body)
        return Update.de_json(data, bot)
    except (ValueError, TypeError, KeyError):
        return None


async def _safely(handle: Handler, update: Update) -> None:
    try:
        await handle(update)
    except Exception:  # the edge of an update: one that surprises us must not end the service
        log.exception("update not handled", update=update.update_id)
