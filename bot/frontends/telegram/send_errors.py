"""What a failed call means for a clip: never sent, never to be sent, too large, or perhaps sent."""

from __future__ import annotations

from telegram.error import (
    BadRequest,
    ChatMigrated,
    Conflict,
    Forbidden,
    InvalidToken,
    NetworkError,
    TelegramError,
)
from telegram.error import RetryAfter as Flooded

from bot.frontends.telegram.transport import NeverSent
from bot.pipeline.delivery import MaybeSent, Rejected, SendError, TooLarge, Unreachable

TOO_LARGE_PHRASES = ("request entity too large", "file is too big", "too big for", "file too large")
TRANSIENT_PHRASES = ("internal server error", "too many requests", "bad gateway", "service unavailable")


class FloodWait(Unreachable):
    """The chat wants `seconds` of silence."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the chat wants {seconds:g} s of silence")
        self.seconds = seconds


def send_error(error: TelegramError) -> SendError:
    """As delivery understands it; the token, which addresses contain, stays out of its words."""
    kind = type(error).__name__
    if isinstance(error, Flooded):
        return FloodWait(wait_seconds(error))
    if isinstance(error, NeverSent | ChatMigrated | Conflict):
        return Unreachable(kind)
    if any(words in error.message.lower() for words in TOO_LARGE_PHRASES):
        return TooLarge()
    if isinstance(error, Forbidden | BadRequest | InvalidToken):
        return Rejected(error.message)
    if isinstance(error, NetworkError) and _is_api_refusal(error):
        return Unreachable(error.message)
    return MaybeSent(kind)


def _is_api_refusal(error: NetworkError) -> bool:
    """Its own "no", with the reason; a proxy's page or silence says nothing about what Telegram did."""
    return error.__cause__ is None and any(words in error.message.lower() for words in TRANSIENT_PHRASES)


def wait_seconds(error: Flooded) -> float:
    wait = error.retry_after
    return float(wait) if isinstance(wait, int) else wait.total_seconds()


def is_unchanged(error: TelegramError) -> bool:
    return isinstance(error, BadRequest) and "message is not modified" in error.message.lower()


def is_message_gone(error: TelegramError) -> bool:
    """The message to edit was deleted, or cannot be edited any more."""
    phrases = ("message to edit not found", "message can't be edited", "there is no text in the message")
    return isinstance(error, BadRequest) and any(words in error.message.lower() for words in phrases)


def is_topic_gone(error: TelegramError) -> bool:
    """The topic of a forum was deleted or closed."""
    phrases = ("message thread not found", "topic_closed", "topic_deleted", "topic_id_invalid")
    return isinstance(error, BadRequest) and any(words in error.message.lower() for words in phrases)
