"""How often a chat may hear from us: one flooded chat never silences another."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

PRIVATE = (5.0, 1.0)
"""So many at once, then one each so many seconds."""
GROUP = (10.0, 3.0)
EVERYBODY = (30.0, 1 / 30)
REMEMBERED = 4096


@dataclass(slots=True)
class _Bucket:
    burst: float
    every: float
    tokens: float
    seen: float
    shut_until: float = 0.0

    def refill(self, now: float) -> None:
        self.tokens = min(self.burst, self.tokens + (now - self.seen) / self.every)
        self.seen = now


class Pace:
    """Words that matter wait only for a chat that asked for silence; others are left out."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._chats: OrderedDict[int, _Bucket] = OrderedDict()
        self._all = _Bucket(*EVERYBODY, EVERYBODY[0], clock())

    async def turn(self, chat: int) -> None:
        """Wait out the silence that the chat asked for, then count one message."""
        while (wait := self.silence(chat)) > 0:  # noqa: ASYNC110  (the chat says when)
            await asyncio.sleep(wait)
        self._count(chat)

    def silence(self, chat: int) -> float:
        """Seconds for which the chat still wants to hear nothing."""
        return max(0.0, self._bucket(chat).shut_until - self._clock())

    def spare(self, chat: int) -> bool:
        """May something be said here that nobody would miss? Half of the budget is kept for what matters."""
        bucket = self._bucket(chat)
        self._all.refill(self._clock())
        free = bucket.tokens >= bucket.burst / 2 and self._all.tokens >= self._all.burst / 2
        if free and bucket.shut_until <= self._clock():
            self._count(chat)
            return True
        return False

    def shut(self, chat: int, seconds: float) -> None:
        """The chat asked for silence."""
        bucket = self._bucket(chat)
        bucket.shut_until = max(bucket.shut_until, self._clock() + seconds)
        bucket.tokens = 0.0

    def _count(self, chat: int) -> None:
        self._bucket(chat).tokens -= 1
        self._all.refill(self._clock())
        self._all.tokens -= 1

    def _bucket(self, chat: int) -> _Bucket:
        bucket = self._chats.get(chat)
        if bucket is None:
            burst, every = PRIVATE if chat > 0 else GROUP
            bucket = self._chats[chat] = _Bucket(burst, every, burst, self._clock())
            if len(self._chats) > REMEMBERED:
                self._chats.popitem(last=False)
        self._chats.move_to_end(chat)
        bucket.refill(self._clock())
        return bucket
