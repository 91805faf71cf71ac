"""Telegram: commands, buttons and clips in chats. Importing this package does not import `telegram`."""

from __future__ import annotations

import os
import re

from bot.domain.frontend import Frontend
from bot.frontends.descriptor import FrontendContext, FrontendDescriptor
from bot.frontends.telegram.settings import TOKEN_VARIABLE, TelegramSettings, missing

os.environ.setdefault("PTB_TIMEDELTA", "true")  # python-telegram-bot warns unless durations are timedeltas


def _create(context: FrontendContext) -> Frontend:
    from bot.frontends.telegram.frontend import Options, Telegram  # noqa: PLC0415  (imports telegram)
    from bot.frontends.telegram.updates import Webhook  # noqa: PLC0415  (imports telegram)

    chosen: TelegramSettings = context.settings
    webhook = None
    if chosen.webhook:
        webhook = Webhook(
            url=chosen.webhook,
            secret=chosen.checked_webhook_secret(),
            host=chosen.webhook_host,
            port=chosen.webhook_port,
        )
    options = Options(
        token=chosen.token.reveal(),
        admins=frozenset(chosen.admins),
        api_url=chosen.api,
        local_server=chosen.local,
        webhook=webhook,
        stars_per_credit=chosen.stars,
    )
    return Telegram(context.studio, options)


FRONTEND = FrontendDescriptor(
    name="telegram",
    settings=TelegramSettings,
    secrets={"token": TOKEN_VARIABLE},
    create=_create,
    missing=missing,
    reports_readiness=True,
    admin_chat_pattern=r"-?[0-9]{1,20}",
    admin_chat_example="telegram:-100123",
    packages=("python-telegram-bot",),
    quiet_loggers=("telegram",),
    token_patterns=(re.compile(r"(?<!\d)\d{6,12}:[A-Za-z0-9_-]{30,}"),),  # in URLs it follows "bot" directly
)
