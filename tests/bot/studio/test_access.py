"""Admission: who may submit jobs, on which terms, and what a refusal records."""

from __future__ import annotations

import tomllib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from bot.admin.admin import AdminCommands
from bot.domain.errors import (
    Blocked,
    ChannelDenied,
    ModelDisabled,
    NotAcceptingJobs,
    PromptRefused,
    RateLimited,
)
from bot.domain.jobs import Requester
from bot.domain.quota import Allowance, Caps, QuotaPlan, Tier
from bot.moderation.prompt_policy import PromptPolicy
from bot.store.store import Store
from bot.studio.access import AccessControl, Viewer
from generation.request import Wish
from tests.bot.admin.test_admin import PLATFORMS
from tests.bot.store.conftest import Clock
from tests.paths import CONFIG

RULES = CONFIG / "rules"
PLAN = QuotaPlan(
    base=Allowance(credits=10),
    tiers=(Tier(name="patron", credits=50, weight=3.0, roles=frozenset({"supporter"})),),
    pools={"discord:7": 30},
)
ADMIN = Requester(platform="cli", user="root", admin=True)
ROOT = Viewer(requester=ADMIN)
FOX = Wish(prompt="a fox in the snow")
SEVERE = Wish(prompt="a nude child")


def viewer_with(*, chat: str = "9", **changes: Any) -> Viewer:
    requester = Requester(platform="discord", user="42", community="7")
    return Viewer(requester=structs.replace(requester, **changes), chat=chat)


ANA = viewer_with()
IN_PRIVATE = viewer_with(chat="11", community="")


def bundled_policy() -> PromptPolicy:
    read = {name: tomllib.loads((RULES / f"{name}.toml").read_text("utf-8")) for name in ("rules", "words")}
    return PromptPolicy.from_tables(rules=read["rules"], word_lists=read["words"])


@dataclass
class AccessHarness:
    access: AccessControl
    admin: AdminCommands
    store: Store
    clock: Clock

    async def perform(self, line: str) -> None:
        await self.admin.perform(line, ADMIN)


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[AccessHarness]:
    clock = Clock()
    store = await Store.open(tmp_path, clock=clock)
    admin = AdminCommands(store=store, quota_plan=PLAN, models=("ltx", "wan"), platforms=PLATFORMS)
    yield AccessHarness(
        AccessControl(store=store, prompt_policy=bundled_policy(), quota_plan=PLAN), admin, store, clock
    )
    await store.close()


async def test_terms_follow_roles_pools_and_what_admins_set(harness: AccessHarness) -> None:
    terms = await harness.access.admit(FOX, ANA)
    assert (terms.allowance.credits, terms.weight) == (10, 1.0)
    assert terms.pool is not None
    assert terms.pool.credits == 30
    patron = await harness.access.admit(FOX, viewer_with(roles=("supporter",)))
    assert (patron.allowance.credits, patron.weight) == (50, 3.0)
    assert (await harness.access.admit(FOX, ROOT)).allowance.unlimited


async def test_severe_refusals_bring_growing_timeouts(harness: AccessHarness) -> None:
    for expected in (600.0, 3600.0):
        with pytest.raises(PromptRefused):
            await harness.access.admit(SEVERE, ANA)
        with pytest.raises(Blocked) as refusal:
            await harness.access.admit(FOX, ANA)
        assert refusal.value.until == harness.clock.now + expected
        harness.clock.now += expected
    await harness.access.admit(FOX, ANA)


async def test_a_mild_refusal_brings_no_timeout(harness: AccessHarness) -> None:
    with pytest.raises(PromptRefused) as refusal:
        await harness.access.admit(Wish(prompt="a nude statue"), ANA)
    assert refusal.value.rule == "adult"
    await harness.access.admit(FOX, ANA)
    await harness.access.admit(Wish(prompt="a nude statue"), replace(ANA, adult_place=True))


async def test_a_block_holds_until_it_expires_or_is_lifted(harness: AccessHarness) -> None:
    await harness.perform("block discord:42 1h spam")
    with pytest.raises(Blocked) as refusal:
        await harness.access.admit(FOX, ANA)
    assert refusal.value.reason == "spam"
    await harness.perform("unblock discord:42")
    await harness.access.admit(FOX, ANA)
    await harness.perform("block discord:42 forever")
    harness.clock.now += 10**9
    with pytest.raises(Blocked):
        await harness.access.admit(FOX, ANA)


async def test_while_draining_only_admins_may_submit(harness: AccessHarness) -> None:
    await harness.perform("queue drain")
    with pytest.raises(NotAcceptingJobs):
        await harness.access.admit(FOX, ANA)
    await harness.access.admit(FOX, ROOT)
    await harness.perform("queue resume")
    await harness.access.admit(FOX, ANA)


async def test_channels_are_allowed_and_denied_by_admins(harness: AccessHarness) -> None:
    await harness.perform("channel deny discord:9")
    with pytest.raises(ChannelDenied):
        await harness.access.admit(FOX, ANA)
    await harness.access.admit(FOX, replace(ANA, chat="10"))
    await harness.perform("channel allow discord:9")
    await harness.access.admit(FOX, ANA)
    with pytest.raises(ChannelDenied):
        await harness.access.admit(FOX, replace(ANA, chat="10"))
    with pytest.raises(ChannelDenied):  # that only the user sees the answer makes it no private chat
        await harness.access.admit(FOX, replace(ANA, chat="10", private=True))
    await harness.access.admit(FOX, IN_PRIVATE)


async def test_a_thread_is_allowed_and_denied_with_its_channel(harness: AccessHarness) -> None:
    thread = replace(ANA, chat="90", parent_chat="9")
    await harness.perform("channel allow discord:9")
    await harness.access.admit(FOX, thread)
    await harness.perform("channel deny discord:9")
    with pytest.raises(ChannelDenied):
        await harness.access.admit(FOX, thread)


async def test_a_disabled_model_is_refused(harness: AccessHarness) -> None:
    await harness.perform("model disable wan")
    terms = await harness.access.admit(FOX, ANA)
    terms.check_model("ltx")
    with pytest.raises(ModelDisabled):
        terms.check_model("wan")


async def test_a_suspicion_refuses_and_brings_no_timeout(harness: AccessHarness) -> None:
    with pytest.raises(PromptRefused) as refusal:
        await harness.access.admit(Wish(prompt="a sexy teen pop singer"), ANA)
    assert refusal.value.rule == "safety"
    await harness.access.admit(FOX, ANA)


async def test_refused_prompts_are_limited_like_jobs(harness: AccessHarness) -> None:
    caps = Caps(burst=3, burst_seconds=60.0)
    access = AccessControl(store=harness.store, prompt_policy=bundled_policy(), quota_plan=PLAN, caps=caps)
    for _ in range(3):
        with pytest.raises(PromptRefused):
            await access.admit(Wish(prompt="a nude statue"), ANA)
    with pytest.raises(RateLimited) as limited:
        await access.admit(FOX, ANA)
    assert limited.value.back_at == harness.clock.now + 60.0
    harness.clock.now += 60.0
    await access.admit(FOX, ANA)


async def test_an_admin_confirms_an_appeal_as_severe(harness: AccessHarness) -> None:
    with pytest.raises(PromptRefused) as refusal:
        await harness.access.admit(Wish(prompt="a sexy teen pop singer"), ANA)
    number = await harness.store.file_report(
        "appeal", person=ANA.requester.key, refusal_id=refusal.value.refusal
    )
    harness.clock.now += 3600.0
    await harness.perform(f"review confirm {number}")
    with pytest.raises(Blocked) as blocked:
        await harness.access.admit(FOX, ANA)
    assert blocked.value.until == harness.clock.now + 600.0


async def test_confirming_an_appeal_brings_no_second_strike(harness: AccessHarness) -> None:
    with pytest.raises(PromptRefused) as refusal:
        await harness.access.admit(SEVERE, ANA)
    number = await harness.store.file_report(
        "appeal", person=ANA.requester.key, refusal_id=refusal.value.refusal
    )
    harness.clock.now += 3600.0
    await harness.perform(f"review confirm {number}")
    await harness.access.admit(FOX, ANA)
