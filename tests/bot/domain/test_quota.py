"""Quotas and prices: arithmetic without a clock or a database."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.quota import Allowance, QuotaPlan, Tier, price

PATRONS = Tier(name="patron", credits=50, weight=2.0, roles=frozenset({"supporter"}))
STAFF = Tier(name="staff", unlimited=True, people=frozenset({"discord:1"}))
CLUB = Tier(name="club", credits=20, chats=frozenset({"telegram:-100"}))
PLAN = QuotaPlan(
    base=Allowance(credits=10, zone="Europe/Berlin"), tiers=(STAFF, PATRONS, CLUB), pools={"discord:7": 30}
)


@pytest.mark.parametrize(
    ("key", "roles", "chat", "named", "expected"),
    [
        ("discord:42", (), "", None, "everyone"),
        ("discord:42", ("supporter",), "", None, "patron"),
        ("discord:1", ("supporter",), "", None, "staff"),
        ("telegram:5", (), "telegram:-100", None, "club"),
        ("discord:42", ("supporter",), "", "club", "club"),
        ("discord:42", ("supporter",), "", "no longer there", "patron"),
    ],
)
def test_a_tier_is_chosen_by_name_list_chat_or_role(
    key: str, roles: tuple[str, ...], chat: str, named: str | None, expected: str
) -> None:
    assert PLAN.tier(key, roles=roles, chat=chat, assigned=named).name == expected


def test_own_credits_override_tier_credits_override_base() -> None:
    default_tier = PLAN.tier("discord:42", roles=(), chat="", assigned=None)
    assert PLAN.allowance(default_tier).credits == 10
    assert PLAN.allowance(PATRONS).credits == 50
    assert PLAN.allowance(PATRONS, personal_credits=3).credits == 3
    assert PLAN.allowance(PATRONS).zone == "Europe/Berlin"


def test_unlimited_tiers_and_admins_are_unlimited_if_configured() -> None:
    default_tier = PLAN.tier("discord:42", roles=(), chat="", assigned=None)
    strict = QuotaPlan(base=PLAN.base, admins_unlimited=False)
    assert PLAN.allowance(STAFF).unlimited
    assert PLAN.allowance(default_tier, admin=True).unlimited
    assert not strict.allowance(default_tier, admin=True).unlimited


def test_only_servers_with_a_pool_have_one() -> None:
    pool = PLAN.pool("discord:7")
    assert pool is not None
    assert pool.credits == 30
    assert PLAN.pool("discord:8") is None
    assert PLAN.pool("") is None


@given(
    base=st.floats(0.1, 100),
    seconds=st.floats(0.1, 60),
    pixels=st.integers(1, 4_000_000),
    times=st.integers(1, 5),
)
def test_a_price_is_a_whole_number_and_grows_with_the_clip(
    base: float, seconds: float, pixels: int, times: int
) -> None:
    def cost(length: float, area: int) -> int:
        return price(base=base, seconds=length, default_seconds=5, pixels=area, default_pixels=360_448)

    small, large = cost(seconds, pixels), cost(seconds * times, pixels)
    assert (
        1 <= small <= large <= small * times + (times > 1)
    )  # an amount just above a whole number is rounded down


@given(
    now=st.floats(0, 4e9),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Pacific/Auckland"]),
)
def test_now_is_always_inside_its_own_window(now: float, zone: str) -> None:
    allowance = Allowance(credits=1, zone=zone)
    start, back = allowance.window(now)
    assert start <= now < back
    assert back - start <= 25 * 3600 + 1
    assert allowance.window(back)[0] == back
