"""Who is let in, on which terms, and what a refusal leaves behind."""

from __future__ import annotations

import tomllib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec import structs

from bot.admin.admin import Admin
from bot.domain.errors import Blocked, ChannelClosed, Closing, ModelOff, PromptRefused
from bot.domain.jobs import ReplyTo, Requester
from bot.domain.quota import Allowance, Plan, Tier
from bot.moderation.prompt_policy import Policy
from bot.store.store import Store
from bot.studio.admission import Gate
from generation.request import Wish
from tests.bot.store.conftest import Clock
from tests.paths import CONFIG

RULES = CONFIG / "rules"
PLAN = Plan(
    base=Allowance(credits=10),
    tiers=(Tier(name="patron", credits=50, weight=3.0, roles=frozenset({"supporter"})),),
    pools={"discord:7": 30},
)
ANA = Requester(platform="discord", user="42", community="7")
BOSS = Requester(platform="cli", user="root", admin=True)
HERE = ReplyTo(platform="discord", chat="9")
FOX = Wish(prompt="a fox in the snow")
SEVERE = Wish(prompt="a nude child")


def a_policy() -> Policy:
    read = {name: tomllib.loads((RULES / f"{name}.toml").read_text("utf-8")) for name in ("rules", "words")}
    return Policy.read(rules=read["rules"], words=read["words"])


@dataclass
class Door:
    gate: Gate
    admin: Admin
    store: Store
    clock: Clock

    async def do(self, line: str) -> None:
        await self.admin.perform(line, BOSS)


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    clock = Clock()
    store = await Store.open(tmp_path, clock=clock)
    admin = Admin(store=store, plan=PLAN, models=("ltx", "wan"))
    yield Door(Gate(store=store, policy=a_policy(), plan=PLAN), admin, store, clock)
    await store.close()


async def test_terms_follow_roles_pools_and_what_admins_set(door: Door) -> None:
    terms = await door.gate.admit(FOX, ANA, HERE)
    assert (terms.allowance.credits, terms.weight) == (10, 1.0)
    assert terms.pool is not None
    assert terms.pool.credits == 30
    patron = await door.gate.admit(FOX, structs.replace(ANA, roles=("supporter",)), HERE)
    assert (patron.allowance.credits, patron.weight) == (50, 3.0)
    assert (await door.gate.admit(FOX, BOSS, HERE)).allowance.unlimited


async def test_a_severe_refusal_costs_time_and_the_time_grows(door: Door) -> None:
    for expected in (600.0, 3600.0):
        with pytest.raises(PromptRefused):
            await door.gate.admit(SEVERE, ANA, HERE)
        with pytest.raises(Blocked) as refusal:
            await door.gate.admit(FOX, ANA, HERE)
        assert refusal.value.until == door.clock.now + expected
        door.clock.now += expected
    await door.gate.admit(FOX, ANA, HERE)


async def test_a_mild_refusal_costs_nothing(door: Door) -> None:
    with pytest.raises(PromptRefused) as refusal:
        await door.gate.admit(Wish(prompt="a nude statue"), ANA, HERE)
    assert refusal.value.rule == "adult"
    await door.gate.admit(FOX, ANA, HERE)
    await door.gate.admit(Wish(prompt="a nude statue"), ANA, structs.replace(HERE, facts={"adult": True}))


async def test_blocked_people_stay_out_until_the_end_or_the_pardon(door: Door) -> None:
    await door.do("block discord:42 1h spam")
    with pytest.raises(Blocked) as refusal:
        await door.gate.admit(FOX, ANA, HERE)
    assert refusal.value.reason == "spam"
    await door.do("unblock discord:42")
    await door.gate.admit(FOX, ANA, HERE)
    await door.do("block discord:42 forever")
    door.clock.now += 10**9
    with pytest.raises(Blocked):
        await door.gate.admit(FOX, ANA, HERE)


async def test_a_drained_house_takes_nothing_but_from_admins(door: Door) -> None:
    await door.do("queue drain")
    with pytest.raises(Closing):
        await door.gate.admit(FOX, ANA, HERE)
    await door.gate.admit(FOX, BOSS, HERE)
    await door.do("queue resume")
    await door.gate.admit(FOX, ANA, HERE)


async def test_channels_are_served_as_admins_say(door: Door) -> None:
    await door.do("channel deny discord:9")
    with pytest.raises(ChannelClosed):
        await door.gate.admit(FOX, ANA, HERE)
    await door.gate.admit(FOX, ANA, structs.replace(HERE, chat="10"))
    await door.do("channel allow discord:9")
    await door.gate.admit(FOX, ANA, HERE)
    with pytest.raises(ChannelClosed):
        await door.gate.admit(FOX, ANA, structs.replace(HERE, chat="10"))
    await door.gate.admit(FOX, ANA, structs.replace(HERE, chat="11", private=True))


async def test_a_model_that_is_off_is_told(door: Door) -> None:
    await door.do("model disable wan")
    terms = await door.gate.admit(FOX, ANA, HERE)
    terms.check_model("ltx")
    with pytest.raises(ModelOff):
        terms.check_model("wan")
