"""The door: who may ask for what here, and on which terms."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import dataclass
from functools import partial

import structlog

from bot.domain.errors import Blocked, ChannelClosed, Closing, ModelOff, PromptRefused
from bot.domain.jobs import ReplyTo, Requester
from bot.domain.quota import Allowance, Plan
from bot.i18n import messages
from bot.moderation.prompt_policy import Policy, timeout
from bot.store import admin_state, reports
from bot.store.job_rows import community_key
from bot.store.store import Rules, Standing, Store
from generation.request import Wish

log = structlog.get_logger(__name__)

SHORT = 300
"""Characters that the rules read in a moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a person who was let in may spend, and how their turns weigh."""

    allowance: Allowance
    pool: Allowance | None
    weight: float
    rules: Rules

    def check_model(self, name: str) -> None:
        if name in self.rules.disabled_models:
            raise ModelOff(name)


class Gate:
    def __init__(self, *, store: Store, policy: Policy, plan: Plan) -> None:
        self.plan = plan
        self._store = store
        self._policy = policy

    async def admit(self, wish: Wish, requester: Requester, reply_to: ReplyTo) -> Terms:
        """Raises Closing, Blocked, ChannelClosed or PromptRefused; a severe refusal brings a time-out."""
        rules, standing = await self._known(requester.key)
        _check_place(rules, standing, requester, reply_to)
        try:
            await self._read(wish, requester, adult_place=bool(reply_to.facts.get("adult")))
        except PromptRefused as refusal:
            raise await self._refused(refusal.rule, wish, requester) from None
        return self._terms(rules, standing, requester, reply_to.chat)

    async def _read(self, wish: Wish, requester: Requester, *, adult_place: bool) -> None:
        """A long text is read beside the loop, so that no acknowledgement waits for it."""
        check = partial(self._policy.check, wish, requester, adult_place=adult_place)
        if len(wish.prompt) + len(wish.negative) < SHORT:
            check()
        else:
            await asyncio.to_thread(check)

    async def _refused(self, rule: str, wish: Wish, requester: Requester) -> PromptRefused:
        """Written down for an appeal; a severe one is answered with a time-out."""
        words = messages.quoted(" · ".join(filter(None, (wish.prompt, wish.negative))), 500)
        number = await self._store.act(
            lambda c, now: reports.refuse(c, person=requester.key, rule=rule, words=words, now=now)
        )
        if self._policy.severe(rule):
            block = await self._store.strike(requester.key, rule, wait=timeout)
            log.warning("severe refusal", who=requester.key, rule=rule, until=block.until)
        return PromptRefused(rule, number)

    async def terms(self, requester: Requester, chat: str = "") -> Terms:
        rules, standing = await self._known(requester.key)
        return self._terms(rules, standing, requester, chat)

    async def _known(self, key: str) -> tuple[Rules, Standing]:
        def look(c: sqlite3.Connection, now: float) -> tuple[Rules, Standing]:
            return admin_state.rules(c), admin_state.standing(c, key, now)

        return await self._store.look(look)

    def _terms(self, rules: Rules, standing: Standing, requester: Requester, chat: str) -> Terms:
        tier = self.plan.tier(
            requester.key,
            roles=requester.roles,
            chat=f"{requester.platform}:{chat}",
            named=standing.tier,
            mapped=rules.tiers_of(requester.platform, requester.roles),
        )
        return Terms(
            allowance=self.plan.allowance(tier, admin=requester.admin, own=standing.credits),
            pool=self.plan.pool(community_key(requester.platform, requester.community)),
            weight=tier.weight,
            rules=rules,
        )


def _check_place(rules: Rules, standing: Standing, requester: Requester, reply_to: ReplyTo) -> None:
    if standing.block:  # also for admins: only another admin lifts it
        raise Blocked(standing.block.until, standing.block.reason)
    if requester.admin:
        return
    if rules.closed:
        raise Closing(rules.closed)
    channel = f"{reply_to.platform}:{reply_to.chat}"
    closed = channel in rules.denied_channels if reply_to.private else not rules.serves(channel)
    if closed:
        raise ChannelClosed
