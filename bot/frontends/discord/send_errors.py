"""Maps Discord's errors to the send errors of delivery."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
import discord

from bot.frontends.common.upload_limit import UPLOAD_LIMIT_FACTOR
from bot.pipeline.delivery import MaybeSent, Rejected, SendError, TooLarge, Unreachable

UNKNOWN_CHANNEL, UNKNOWN_MESSAGE, UNKNOWN_WEBHOOK, UNKNOWN_INTERACTION = 10003, 10008, 10015, 10062
TOO_LARGE, ALREADY_ACKNOWLEDGED, INVALID_WEBHOOK_TOKEN, INVALID_FORM_BODY = 40005, 40060, 50027, 50035
MAX_FOLLOWUPS_REACHED = 40094
MISSING_READ_HISTORY = 160002
"""A reply needs the permission Read Message History; a message without reference does not."""
KNOWN_LIMITS = tuple(mib * 1024 * 1024 for mib in (100, 50, 25, 20, 10))


@contextmanager
def raising_send_errors(size: int = 0) -> Iterator[None]:
    """Raise errors in the block as a SendError, which says whether the message may have been sent."""
    try:
        yield
    except discord.RateLimited as error:
        raise Unreachable(f"rate limited for {error.retry_after:.0f} s") from error
    except discord.HTTPException as error:
        raise _send_error_for(error, size) from error
    except aiohttp.ClientConnectorError as error:
        raise Unreachable(type(error).__name__) from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise MaybeSent(type(error).__name__) from error


def _send_error_for(error: discord.HTTPException, size: int) -> SendError:
    fact = f"{error.status} {error.code}"
    if error.status == 413 or error.code == TOO_LARGE:
        return TooLarge(likely_limit_below(size))
    if error.status >= 500:
        return MaybeSent(fact)
    if error.status in {401, 408, 429} and error.code != INVALID_WEBHOOK_TOKEN:
        return Unreachable(fact)
    return Rejected(fact)


def likely_limit_below(size: int) -> int | None:
    """Return the largest known upload limit below `size`, which a chat has refused."""
    known = (int(limit * UPLOAD_LIMIT_FACTOR) for limit in KNOWN_LIMITS)
    return next((limit for limit in known if limit < size), None)
