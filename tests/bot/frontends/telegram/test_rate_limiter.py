"""The rate limiter: budgets per chat, optional messages, and blocks that affect one chat only."""

from __future__ import annotations

from bot.frontends.telegram.rate_limiter import GROUP_RATE, PRIVATE_RATE, RateLimiter


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_optional_messages_leave_half_of_the_budget() -> None:
    limiter = RateLimiter(clock=Clock())
    sent = [limiter.try_acquire(1) for _ in range(20)]
    assert 0 < sum(sent) <= PRIVATE_RATE[0] / 2 + 1
    assert not sent[-1]


def test_budget_refills_more_slowly_in_groups() -> None:
    clock = Clock()
    limiter = RateLimiter(clock=clock)
    rates = {}
    for chat in (1, -1):
        while limiter.try_acquire(chat):
            pass
        sent = 0
        for _ in range(600):
            clock.now += 0.1
            sent += limiter.try_acquire(chat)
        rates[chat] = sent
    assert rates[1] <= 60 / PRIVATE_RATE[1] + 1
    assert 15 <= rates[-1] <= 60 / GROUP_RATE[1] + 1


def test_block_applies_to_one_chat_only() -> None:
    clock = Clock()
    limiter = RateLimiter(clock=clock)
    limiter.block(1, 30)
    assert not limiter.try_acquire(1)
    assert limiter.try_acquire(2)
    clock.now += 31 + PRIVATE_RATE[0] * PRIVATE_RATE[1]
    assert limiter.try_acquire(1)


def test_number_of_tracked_chats_is_bounded() -> None:
    limiter = RateLimiter(clock=Clock())
    for chat in range(1, 10_000):
        limiter.block(chat, 1)
    assert len(limiter._buckets) <= 4096  # a bound on memory, which no public method shows
