"""Who may do and see what: admission of wishes, the terms of a user, and ownership of jobs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial

import structlog

from bot.domain.errors import (
    Blocked,
    ChannelDenied,
    ModelDisabled,
    NotAcceptingJobs,
    NotYourJob,
    PromptRefused,
)
from bot.domain.jobs import Job, ReplyTo, Requester
from bot.domain.quota import Allowance, QuotaPlan
from bot.i18n import messages
from bot.moderation.prompt_policy import PromptPolicy, strike_timeout
from bot.store.store import AdminRules, Standing, Store
from generation.request import Wish

log = structlog.get_logger(__name__)

INLINE_CHECK_LENGTH = 300
"""Characters of text that are checked on the event loop: longer texts are checked in a thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionTerms:
    """What an admitted user may spend, and the weight of their jobs in the queue."""

    allowance: Allowance
    pool: Allowance | None
    weight: float
    rules: AdminRules

    def check_model(self, name: str) -> None:
        """Raises ModelDisabled."""
        if name in self.rules.disabled_models:
            raise ModelDisabled(name)


class AccessControl:
    def __init__(self, *, store: Store, prompt_policy: PromptPolicy, quota_plan: QuotaPlan) -> None:
        self.quota_plan = quota_plan
        self._store = store
        self._prompt_policy = prompt_policy

    async def admit(self, wish: Wish, requester: Requester, reply_to: ReplyTo) -> AdmissionTerms:
        """Check the user, the chat and the prompt.

        Raises NotAcceptingJobs, Blocked, ChannelDenied or PromptRefused. A severe refusal also blocks the
        user for a time.
        """
        rules, standing = await self._store.rules_and_standing(requester.key)
        _check_access(rules, standing, requester, reply_to)
        try:
            await self._check_prompt(wish, requester, adult_place=bool(reply_to.facts.get("adult")))
        except PromptRefused as refusal:
            raise await self._record_refusal(refusal.rule, wish, requester) from None
        return self._terms(rules, standing, requester, reply_to.chat)

    async def require_admitted(self, requester: Requester, reply_to: ReplyTo) -> AdmissionTerms:
        """Check the user and the chat but no prompt; raises NotAcceptingJobs, Blocked or ChannelDenied."""
        rules, standing = await self._store.rules_and_standing(requester.key)
        _check_access(rules, standing, requester, reply_to)
        return self._terms(rules, standing, requester, reply_to.chat)

    async def terms_for(self, requester: Requester, chat: str = "") -> AdmissionTerms:
        """The terms without any check."""
        rules, standing = await self._store.rules_and_standing(requester.key)
        return self._terms(rules, standing, requester, chat)

    async def require_own_job(self, job_id: int, requester: Requester) -> Job:
        """The job, if the requester or an admin asks for it; raises NoSuchJob or NotYourJob."""
        job = await self._store.job(job_id)
        if job.requester.key != requester.key and not requester.admin:
            raise NotYourJob(job_id)
        return job

    async def _check_prompt(self, wish: Wish, requester: Requester, *, adult_place: bool) -> None:
        """Check a long text in a thread, so that it does not delay the answers of other users."""
        check = partial(self._prompt_policy.check, wish, requester, adult_place=adult_place)
        if len(wish.prompt) + len(wish.negative) < INLINE_CHECK_LENGTH:
            check()
        else:
            await asyncio.to_thread(check)

    async def _record_refusal(self, rule: str, wish: Wish, requester: Requester) -> PromptRefused:
        """Save the refusal for an appeal; a severe one also blocks the user for a time."""
        prompt_text = messages.sanitized(" · ".join(filter(None, (wish.prompt, wish.negative))), 500)
        number = await self._store.record_refusal(person=requester.key, rule=rule, words=prompt_text)
        if self._prompt_policy.is_severe(rule):
            block = await self._store.add_strike(requester.key, rule, timeout_for=strike_timeout)
            log.warning("severe refusal", who=requester.key, rule=rule, until=block.until)
        return PromptRefused(rule, number)

    def _terms(
        self, rules: AdminRules, standing: Standing, requester: Requester, chat: str
    ) -> AdmissionTerms:
        tier = self.quota_plan.tier(
            requester.key,
            roles=requester.roles,
            chat=f"{requester.platform}:{chat}",
            assigned=standing.tier,
            tiers_of_roles=rules.tiers_for_roles(requester.platform, requester.roles),
        )
        return AdmissionTerms(
            allowance=self.quota_plan.allowance(
                tier, admin=requester.admin, personal_credits=standing.credits
            ),
            pool=self.quota_plan.pool(requester.community_key),
            weight=tier.weight,
            rules=rules,
        )


def _check_access(rules: AdminRules, standing: Standing, requester: Requester, reply_to: ReplyTo) -> None:
    if standing.block:  # applies to admins too: another admin has to lift it
        raise Blocked(standing.block.until, standing.block.reason)
    if requester.admin:
        return
    if rules.closed:
        raise NotAcceptingJobs(rules.closed)
    channel = f"{reply_to.platform}:{reply_to.chat}"
    closed = channel in rules.denied_channels if reply_to.private else not rules.allows_channel(channel)
    if closed:
        raise ChannelDenied
