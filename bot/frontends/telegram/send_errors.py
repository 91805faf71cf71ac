"""Translate Telegram's errors into delivery errors: not sent, rejected, too large, or maybe sent."""

from __future__ import annotations

from telegram.error import (
    BadRequest,
    ChatMigrated,
    Conflict,
    Forbidden,
    InvalidToken,
    NetworkError,
    RetryAfter,
    TelegramError,
)

from bot.frontends.telegram.transport import NeverSent
from bot.pipeline.delivery import MaybeSent, Rejected, SendError, TooLarge, Unreachable

TOO_LARGE_PHRASES = ("request entity too large", "file is too big", "too big for", "file too large")
TRANSIENT_PHRASES = ("internal server error", "too many requests", "bad gateway", "service unavailable")


class FloodWait(Unreachable):
    """Telegram accepts nothing for this chat for `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"rate limited for {seconds:g} s")
        self.seconds = seconds


def send_error(error: TelegramError) -> SendError:
    """The delivery error for `error`. Its text leaves out what may contain a URL, and so the token."""
    kind = type(error).__name__
    if isinstance(error, RetryAfter):
        return FloodWait(wait_seconds(error))
    if isinstance(error, NeverSent | ChatMigrated | Conflict):
        return Unreachable(kind)
    if any(phrase in error.message.lower() for phrase in TOO_LARGE_PHRASES):
        return TooLarge()
    if isinstance(error, Forbidden | BadRequest | InvalidToken):
        return Rejected(error.message)
    if isinstance(error, NetworkError) and _is_api_refusal(error):
        return Unreachable(error.message)
    return MaybeSent(kind)


def _is_api_refusal(error: NetworkError) -> bool:
    """Whether Telegram itself refused the call.

    After a timeout or a proxy's error page the call may have been acted on.
    """
    return error.__cause__ is None and any(phrase in error.message.lower() for phrase in TRANSIENT_PHRASES)


def wait_seconds(error: RetryAfter) -> float:
    wait = error.retry_after
    return float(wait) if isinstance(wait, int) else wait.total_seconds()


def is_unchanged(error: TelegramError) -> bool:
    return isinstance(error, BadRequest) and "message is not modified" in error.message.lower()


def is_message_gone(error: TelegramError) -> bool:
    """Whether the message to edit was deleted, or can no longer be edited."""
    phrases = ("message to edit not found", "message can't be edited", "there is no text in the message")
    return isinstance(error, BadRequest) and any(phrase in error.message.lower() for phrase in phrases)


def is_topic_gone(error: TelegramError) -> bool:
    """Whether the forum topic was deleted or closed."""
    phrases = ("message thread not found", "topic_closed", "topic_deleted", "topic_id_invalid")
    return isinstance(error, BadRequest) and any(phrase in error.message.lower() for phrase in phrases)
