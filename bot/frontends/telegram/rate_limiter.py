"""Rate limits for sending, per chat and in total. A blocked chat does not delay other chats."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

PRIVATE_RATE = (5.0, 1.0)
"""A rate is a pair: how many messages at once, and seconds for each one after that."""
GROUP_RATE = (10.0, 3.0)
GLOBAL_RATE = (30.0, 1 / 30)
MAX_CHATS = 4096


@dataclass(slots=True)
class _Bucket:
    burst: float
    seconds_per_token: float
    tokens: float
    refilled_at: float
    blocked_until: float = 0.0

    def refill(self, now: float) -> None:
        self.tokens = min(self.burst, self.tokens + (now - self.refilled_at) / self.seconds_per_token)
        self.refilled_at = now


class RateLimiter:
    """Token buckets. Required messages wait only for a blocked chat; optional ones are skipped."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: OrderedDict[int, _Bucket] = OrderedDict()
        self._global = _Bucket(*GLOBAL_RATE, GLOBAL_RATE[0], clock())

    async def acquire(self, chat: int) -> None:
        """Wait until the chat is no longer blocked, then count one message."""
        while (wait := self.blocked_for(chat)) > 0:  # noqa: ASYNC110  (Telegram says how long to wait)
            await asyncio.sleep(wait)
        self._consume(chat)

    def blocked_for(self, chat: int) -> float:
        """Seconds for which the chat stays blocked; 0 if it is not."""
        return max(0.0, self._bucket_of(chat).blocked_until - self._clock())

    def try_acquire(self, chat: int) -> bool:
        """Count one optional message if the limits allow it; half of each is kept for required messages."""
        bucket = self._bucket_of(chat)
        self._global.refill(self._clock())
        free = bucket.tokens >= bucket.burst / 2 and self._global.tokens >= self._global.burst / 2
        if free and bucket.blocked_until <= self._clock():
            self._consume(chat)
            return True
        return False

    def block(self, chat: int, seconds: float) -> None:
        """Block the chat for as long as Telegram asked."""
        bucket = self._bucket_of(chat)
        bucket.blocked_until = max(bucket.blocked_until, self._clock() + seconds)
        bucket.tokens = 0.0

    def _consume(self, chat: int) -> None:
        self._bucket_of(chat).tokens -= 1
        self._global.refill(self._clock())
        self._global.tokens -= 1

    def _bucket_of(self, chat: int) -> _Bucket:
        bucket = self._buckets.get(chat)
        if bucket is None:
            burst, interval = PRIVATE_RATE if chat > 0 else GROUP_RATE
            bucket = self._buckets[chat] = _Bucket(burst, interval, burst, self._clock())
            if len(self._buckets) > MAX_CHATS:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(chat)
        bucket.refill(self._clock())
        return bucket
