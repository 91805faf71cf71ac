"""Who may do and see what: admission of wishes, the terms of a user, and who may see or change which job.

A frontend proves facts about a user and hands them over as a Viewer; every decision is made here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from msgspec import structs

from bot.domain.errors import (
    Blocked,
    ChannelDenied,
    ModelDisabled,
    NoSuchJob,
    NotAcceptingJobs,
    NotAllowed,
    NotInThatChat,
    NotYourJob,
    OtherChannelsOnly,
    PromptRefused,
)
from bot.domain.jobs import Job, ReplyTo, Requester
from bot.domain.quota import Allowance, Caps, QuotaPlan
from bot.i18n import messages
from bot.moderation.prompt_policy import PromptPolicy, strike_timeout
from bot.store.store import AdminRules, Standing, Store
from generation.clip import Clip
from generation.request import Request, Wish

log = structlog.get_logger(__name__)

NO_CAPS = Caps()
INLINE_CHECK_LENGTH = 300
"""Characters of text that are checked on the event loop: longer texts are checked in a thread."""


def sees_no_other_chat(chat: str) -> bool:
    """The proof of a viewer about whom the frontend knows nothing but the chat they are in."""
    del chat
    return False


async def is_no_moderator() -> bool:
    """The proof of a viewer who has no rights over the messages of others."""
    return False


async def is_no_admin() -> bool:
    """The proof of a viewer who does not administer the community they are in."""
    return False


def has_no_role(role: str) -> bool:
    """The proof of a viewer whose community has no roles."""
    del role
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """A user who asks for something, where they ask, and the facts that their frontend has proven.

    Nothing here may come from the user's own text. `requester.admin` is true for operators only.
    """

    requester: Requester
    chat: str = ""
    """The chat or channel that the user is in at this moment; empty if there is none."""
    parent_chat: str = ""
    """The channel of the thread or forum post `chat`."""
    community_settings_key: str = ""
    """The key of the settings that hold for all users of the viewer's community; empty if there are none."""
    private: bool = False
    """Nobody else sees the command and its answer."""
    adult_place: bool = False
    """The platform marks this chat as for adults."""
    can_see: Callable[[str], bool] = sees_no_other_chat
    """Whether the user can see that other channel of their own server at this moment."""
    is_moderator: Callable[[], Awaitable[bool]] = is_no_moderator
    """Whether the platform lets the user delete the messages of others in this chat."""
    is_community_admin: Callable[[], Awaitable[bool]] = is_no_admin
    """Whether the platform lets the user change the settings of their own community."""
    has_role: Callable[[str], bool] = has_no_role
    """Whether the role with this key belongs to the viewer's own community."""

    @classmethod
    def owner_of(cls, job: Job) -> Viewer:
        """The owner of a job in its own chat, for messages that the bot sends them about it.

        They have no other rights: what was proven when the job was made need not be true now.
        """
        return cls(requester=structs.replace(job.requester, admin=False, roles=()), chat=job.reply_to.chat)

    @property
    def platform(self) -> str:
        return self.requester.platform


class Right(Enum):
    """What a viewer wants of a job."""

    SEE = "see"  # its state, its options and its picture, as its chat sees them
    READ = "read"  # also its prompt: whoever makes a clip from it can read the prompt of the new one
    CHANGE = "change"  # cancel it, send it again
    DELETE_MESSAGE = "delete message"


class Relation(Enum):
    """What a viewer is to a job."""

    OWNER = "owner"  # or a linked account of the owner
    OPERATOR = "operator"
    PRESENT = "present"  # the job is public, and the viewer can see its chat
    ABSENT = "absent"


def relation_of(viewer: Viewer, job: Job, account_keys: frozenset[str]) -> Relation:
    """`account_keys` are the keys of the viewer and of the users linked to them."""
    if job.requester.key in account_keys:
        return Relation.OWNER
    if viewer.requester.admin:
        return Relation.OPERATOR
    return Relation.PRESENT if _can_see_chat(viewer, job) else Relation.ABSENT


def _can_see_chat(viewer: Viewer, job: Job) -> bool:
    place = job.reply_to
    if place.private or place.platform != viewer.platform or not place.chat:
        return False
    if place.chat == viewer.chat:
        return True
    community = viewer.requester.community_key
    return community != "" and community == job.requester.community_key and viewer.can_see(place.chat)


def has_hidden_prompt(job: Job) -> bool:
    """Whether the admins of its server show the prompt to its requester only."""
    return bool(job.reply_to.facts.get("hidden"))


def job_view(job: Job, viewer: Viewer, relation: Relation, *, with_paths: bool = False) -> Job:
    """The job as it may leave the studio for this viewer: without a token, and without the paths of files.

    The owner gets all else, but on another platform nothing that only its own frontend can use. All others
    get nothing that is private to the owner or to the delivery. `with_paths` keeps the paths that an owner
    named, for users whose files are on this machine.
    """
    if relation is Relation.OWNER:
        return _owner_view(job, viewer, with_paths=with_paths)
    owner, place = job.requester, job.reply_to
    hidden = has_hidden_prompt(job)
    return structs.replace(
        job,
        request=_request_view(job.request, with_prompt=not hidden or relation is Relation.OPERATOR),
        requester=Requester(
            platform=owner.platform, user=owner.user, community=owner.community, language=owner.language
        ),
        reply_to=ReplyTo(
            platform=place.platform,
            chat=place.chat,
            private=place.private,
            facts={"hidden": True} if hidden else {},
        ),
        clip=job.clip and _clip_view(job.clip),
        error=None,
        message="",
    )


def _owner_view(job: Job, viewer: Viewer, *, with_paths: bool) -> Job:
    place = job.reply_to
    if viewer.platform == place.platform:
        job = structs.replace(job, reply_to=structs.replace(place, token="", token_until=0.0))
    else:
        here = ReplyTo(platform=place.platform, chat=place.chat, private=place.private)
        job = structs.replace(job, reply_to=here, message="")
    if with_paths:
        return job
    return structs.replace(
        job, request=_request_view(job.request, with_prompt=True), clip=job.clip and _clip_view(job.clip)
    )


def _clip_view(clip: Clip) -> Clip:
    return structs.replace(clip, path=Path(clip.path.name), poster=None, sheet=None)


def _request_view(request: Request, *, with_prompt: bool) -> Request:
    """Without the paths of files, and if need be without everything that the user wrote."""
    music = structs.replace(request.music, track=None, melody=None)
    request = structs.replace(request, image=None, source=None, music=music)
    if with_prompt:
        return request
    return structs.replace(request, prompt="", negative="", music=structs.replace(music, words=""))


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
    def __init__(
        self,
        *,
        store: Store,
        prompt_policy: PromptPolicy,
        quota_plan: QuotaPlan,
        caps: Caps = NO_CAPS,
        local_platforms: frozenset[str] = frozenset(),
    ) -> None:
        """Refused prompts of one user are limited by the `burst` of `caps`, as jobs are.

        The users of `local_platforms` name files of this machine themselves.
        """
        self.quota_plan = quota_plan
        self._store = store
        self._prompt_policy = prompt_policy
        self._caps = caps
        self._local_platforms = local_platforms

    async def admit(self, wish: Wish, viewer: Viewer) -> AdmissionTerms:
        """Check the user, the chat they are in, and the prompt.

        Raises what `require_admitted` raises, RateLimited or PromptRefused. A severe refusal that is certain
        also blocks the user for a time.
        """
        terms = await self.require_admitted(viewer)
        if self._caps.burst:
            await self._store.check_refusal_rate(
                viewer.requester.key, burst=self._caps.burst, seconds=self._caps.burst_seconds
            )
        try:
            await self._check_prompt(wish, viewer.requester, adult_place=viewer.adult_place)
        except PromptRefused as refusal:
            raise await self._record_refusal(refusal, wish, viewer.requester) from None
        return terms

    async def require_admitted(self, viewer: Viewer) -> AdmissionTerms:
        """Check the user and the chat they are in but no prompt.

        Raises NotAcceptingJobs, Blocked, ChannelDenied or OtherChannelsOnly.
        """
        rules, standing = await self._store.rules_and_standing(viewer.requester.key)
        _check_access(rules, standing, viewer)
        shared = await self.community_settings(viewer)
        _check_chosen_channels(shared.get("channels") or (), viewer)
        return self._terms(rules, standing, viewer.requester, viewer.chat)

    async def proven_place(self, reply_to: ReplyTo, viewer: Viewer) -> ReplyTo:
        """The place of an answer, without what its caller only asserts. Raises NotInThatChat.

        Whether the place is for adults comes from the viewer, and who may read the prompt from the settings
        of the community.
        """
        if (reply_to.platform, reply_to.chat) != (viewer.platform, viewer.chat):
            raise NotInThatChat
        shared = await self.community_settings(viewer)
        proven = {"adult": viewer.adult_place, "hidden": shared.get("prompts") == "asker"}
        facts = {name: value for name, value in reply_to.facts.items() if name not in proven}
        return structs.replace(
            reply_to, facts=facts | {name: True for name, holds in proven.items() if holds}
        )

    async def terms_for(self, viewer: Viewer) -> AdmissionTerms:
        """The terms of a user in their chat, without any check."""
        rules, standing = await self._store.rules_and_standing(viewer.requester.key)
        return self._terms(rules, standing, viewer.requester, viewer.chat)

    async def community_settings(self, viewer: Viewer) -> dict[str, Any]:
        """The settings of the viewer's community; empty where there is none."""
        key = viewer.community_settings_key
        return await self._store.settings(key) if key else {}

    async def require_community_admin(self, viewer: Viewer, verb: str) -> None:
        """Raises NotAllowed unless the viewer is an admin of the community they are in, or an operator."""
        if not await self.is_community_admin(viewer):
            raise NotAllowed(verb)

    async def require_own_key(self, viewer: Viewer, verb: str) -> None:
        """Raises NotAllowed for a user who writes in the name of a community without being its admin.

        Such users share the key of the community, and so its settings and data.
        """
        if viewer.requester.key == viewer.community_settings_key:
            await self.require_community_admin(viewer, verb)

    async def is_community_admin(self, viewer: Viewer) -> bool:
        if viewer.requester.admin:
            return True
        return bool(viewer.community_settings_key) and await viewer.is_community_admin()

    async def require(self, right: Right, job_id: int, viewer: Viewer) -> Job:
        """The whole job, for the studio itself: what leaves the studio is a `view`.

        Raises NoSuchJob alike for a job that does not exist and for one that the viewer must not know of, and
        NotYourJob for one that they may see but not treat like that.
        """
        try:
            job = await self._store.job(job_id)
        except NoSuchJob:
            await self._all_account_keys(viewer)  # so that the answer takes as long as for a foreign job
            raise
        relation = relation_of(viewer, job, await self._account_keys(viewer, job))
        if relation in {Relation.OWNER, Relation.OPERATOR}:
            return job
        if right is Right.DELETE_MESSAGE and await self._moderates(viewer, job, relation):
            return job
        if relation is Relation.ABSENT:
            raise NoSuchJob(job_id)
        if right is Right.SEE or (right is Right.READ and not has_hidden_prompt(job)):
            return job
        raise NotYourJob(job_id)

    async def view(self, job: Job, viewer: Viewer) -> Job:
        """The job without what is not for this viewer."""
        relation = relation_of(viewer, job, await self._account_keys(viewer, job))
        return self._view(job, viewer, relation)

    async def visible(self, jobs: Iterable[Job], viewer: Viewer) -> list[Job]:
        """Those of the jobs that the viewer may see, without what is not for this viewer."""
        keys = await self._all_account_keys(viewer)
        related = ((job, relation_of(viewer, job, keys)) for job in jobs)
        return [
            self._view(job, viewer, relation) for job, relation in related if relation is not Relation.ABSENT
        ]

    def _view(self, job: Job, viewer: Viewer, relation: Relation) -> Job:
        return job_view(job, viewer, relation, with_paths=viewer.platform in self._local_platforms)

    async def _moderates(self, viewer: Viewer, job: Job, relation: Relation) -> bool:
        """Whether the message of this job is in a chat that the viewer moderates.

        A job whose owner deleted their data has no chat; its message is where the button was pressed.
        """
        forgotten = not job.reply_to.chat
        here = relation is Relation.PRESENT and job.reply_to.chat == viewer.chat
        return (here or forgotten) and await viewer.is_moderator()

    async def _account_keys(self, viewer: Viewer, job: Job) -> frozenset[str]:
        """The viewer's keys; the linked ones are read only if the job is not the viewer's own."""
        own = viewer.requester.key
        return frozenset({own}) if job.requester.key == own else await self._all_account_keys(viewer)

    async def _all_account_keys(self, viewer: Viewer) -> frozenset[str]:
        own = viewer.requester.key
        return frozenset({own, *await self._store.linked_keys(own)})

    async def _check_prompt(self, wish: Wish, requester: Requester, *, adult_place: bool) -> None:
        """Check a long text in a thread, so that it does not delay the answers of other users."""
        check = partial(self._prompt_policy.check, wish, requester, adult_place=adult_place)
        if len(wish.prompt) + len(wish.negative) < INLINE_CHECK_LENGTH:
            check()
        else:
            await asyncio.to_thread(check)

    async def _record_refusal(
        self, refusal: PromptRefused, wish: Wish, requester: Requester
    ) -> PromptRefused:
        """Save the refusal for an appeal; a severe and certain one also blocks the user for a time."""
        rule = refusal.rule
        prompt_text = messages.sanitized(" · ".join(filter(None, (wish.prompt, wish.negative))), 500)
        number = await self._store.record_refusal(person=requester.key, rule=rule, words=prompt_text)
        if refusal.is_certain:
            block = await self._store.add_strike(requester.key, rule, timeout_for=strike_timeout)
            log.warning("severe refusal", who=requester.key, rule=rule, until=block.until)
        return PromptRefused(rule, number, is_certain=refusal.is_certain)

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


def _check_access(rules: AdminRules, standing: Standing, viewer: Viewer) -> None:
    if standing.block:  # applies to admins too: another admin has to lift it
        raise Blocked(standing.block.until, standing.block.reason)
    if viewer.requester.admin:
        return
    if rules.closed:
        raise NotAcceptingJobs(rules.closed)
    channels = {f"{viewer.platform}:{chat}" for chat in (viewer.chat, viewer.parent_chat) if chat}
    in_private_chat = not viewer.requester.community
    if not rules.allows_channels(channels, private=in_private_chat):
        raise ChannelDenied


def _check_chosen_channels(chosen: Collection[str], viewer: Viewer) -> None:
    """Raises OtherChannelsOnly where the admins of the community allow only other channels."""
    if chosen and not {viewer.chat, viewer.parent_chat} & set(chosen) and not viewer.requester.admin:
        raise OtherChannelsOnly(tuple(chosen))
