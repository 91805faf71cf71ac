"""A chat hears from us no oftener than it allows, and one that asks for silence silences no other."""

from __future__ import annotations

from bot.frontends.telegram.rate_limiter import GROUP, PRIVATE, Pace


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_what_nobody_would_miss_keeps_half_of_the_budget_free() -> None:
    pace = Pace(clock=Clock())
    said = [pace.spare(1) for _ in range(20)]
    assert 0 < sum(said) <= PRIVATE[0] / 2 + 1
    assert not said[-1]


def test_time_brings_room_back_slower_in_groups() -> None:
    clock = Clock()
    pace = Pace(clock=clock)
    rates = {}
    for chat in (1, -1):
        while pace.spare(chat):
            pass
        said = 0
        for _ in range(600):
            clock.now += 0.1
            said += pace.spare(chat)
        rates[chat] = said
    assert rates[1] <= 60 / PRIVATE[1] + 1
    assert 15 <= rates[-1] <= 60 / GROUP[1] + 1


def test_silence_is_kept_where_it_was_asked_for_and_nowhere_else() -> None:
    clock = Clock()
    pace = Pace(clock=clock)
    pace.shut(1, 30)
    assert not pace.spare(1)
    assert pace.spare(2)
    clock.now += 31 + PRIVATE[0] * PRIVATE[1]
    assert pace.spare(1)


def test_chats_are_not_remembered_for_ever() -> None:
    pace = Pace(clock=Clock())
    for chat in range(1, 10_000):
        pace.shut(chat, 1)
    assert len(pace._chats) <= 4096  # the memory itself is what is promised
