"""What every frontend calls: one face for submission, job control, job queries, accounts and review.

A Studio puts its parts together and offers their methods as its own. Each method is documented in its part.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from bot.admin.admin import AdminCommands, AdminResult
from bot.domain.events import EventBus, JobHeld
from bot.domain.jobs import Action, Job, ReplyTo
from bot.domain.operator import OperatorPolicy
from bot.maintenance.retention import RetentionSweeper
from bot.moderation.prompt_policy import PromptPolicy
from bot.moderation.review import Review
from bot.store.store import Store
from bot.studio.access import AccessControl, Right, Viewer
from bot.studio.accounts import Accounts
from bot.studio.catalog import Catalog
from bot.studio.job_control import JobControl
from bot.studio.job_queries import JobQueries
from bot.studio.preferences import Preferences
from bot.studio.role_tiers import RoleTiers
from bot.studio.submission import Submission, Submitter
from bot.studio.uploads import Uploads
from generation.errors import UnknownChoice
from generation.media.guarded_reader import GuardedReader
from generation.request import MusicWish

__all__ = ["REVIEW_VERBS", "Studio", "Submission", "Viewer"]

REVIEW_VERBS = {"release": "review release", "reject": "review reject", "pardon": "review pardon"}
"""The buttons below an admin notice, and the admin verb that each stands for."""


class Studio:
    def __init__(
        self,
        *,
        store: Store,
        operator_policy: OperatorPolicy,
        catalog: Catalog,
        prompt_policy: PromptPolicy,
        events: EventBus,
        reader: GuardedReader | None = None,
    ) -> None:
        self.default_model = catalog.default_model
        self.presets = catalog.presets
        self.genres = catalog.genres
        self._admin = AdminCommands(
            store=store,
            quota_plan=operator_policy.quota_plan,
            models=tuple(catalog.presets),
            platforms=operator_policy.platforms,
            events=events,
        )
        self._review = Review(store, events)
        self._background_tasks: set[asyncio.Task[None]] = set()
        events.subscribe(JobHeld, self._notify_admins_of_held)

        self.preset = catalog.preset
        self.cost = catalog.cost
        self.available_derivatives = catalog.available_derivatives

        access = self._access = AccessControl(
            store=store,
            prompt_policy=prompt_policy,
            quota_plan=operator_policy.quota_plan,
            caps=operator_policy.caps,
            local_platforms=operator_policy.local_platforms,
        )
        queries = JobQueries(
            store,
            access=access,
            engine_slots=operator_policy.engine_slots,
            clips=operator_policy.data_folder / "clips",
        )
        self.job = queries.job
        self.recipe = queries.recipe
        self.queue_position = queries.queue_position
        self.eta = queries.eta
        self.waiting = queries.waiting
        self.history = queries.history
        self.shareable_history = queries.shareable_history
        self.queue_status = queries.queue_status
        self.preview_file = queries.preview_file

        preferences = Preferences(store, access=access)
        self.settings = preferences.settings
        self.change_setting = preferences.change_setting
        self.community_settings = preferences.community_settings
        self.change_community_setting = preferences.change_community_setting
        self.languages = preferences.languages
        self.move_chat = preferences.move_chat

        roles = RoleTiers(store, operator_policy.tiers, access=access)
        self.grantable_tiers = roles.grantable_tiers
        self.set_role_tier = roles.set_role_tier
        self.role_tiers = roles.role_tiers

        uploads = Uploads(
            store=store, access=access, operator_policy=operator_policy, reader=reader or GuardedReader()
        )
        self.receive_uploads = uploads.receive
        self.read_attached_recipe = uploads.read_recipe

        submitter = Submitter(
            store=store,
            access=access,
            catalog=catalog,
            operator_policy=operator_policy,
            uploads=uploads,
            events=events,
        )
        self.submit = submitter.submit
        self.reroll = submitter.reroll
        self.reword = submitter.reword
        self.new_music = submitter.new_music
        self.make_derivative = submitter.make_derivative
        self.stop_accepting = submitter.stop_accepting

        control = JobControl(store=store, access=access, events=events)
        self.cancel = control.cancel
        self.send_again = control.send_again
        self.allow_deletion = control.allow_deletion
        self.save_status_message = control.save_status_message
        self.watch_outside_cancels = control.watch_outside_cancels

        sweeper = RetentionSweeper(store=store, clips=operator_policy.data_folder / "clips", keep_days=0)
        self._offer_accounts(Accounts(store=store, access=access, sweeper=sweeper, events=events))

    def _offer_accounts(self, accounts: Accounts) -> None:
        self.balance = accounts.balance
        self.ledger_entries = accounts.ledger_entries
        self.record_purchase = accounts.record_purchase
        self.payments = accounts.payments
        self.refund_own_payment = accounts.refund_own_payment
        self.refund_payment = accounts.refund_payment
        self.resume_refunds = accounts.resume_refunds
        self.reverse_purchase = accounts.reverse_purchase
        self.link_account = accounts.link_account
        self.answer_link_request = accounts.answer_link_request
        self.unlink = accounts.unlink
        self.export = accounts.export
        self.delete_personal_data = accounts.delete_personal_data

    async def perform(
        self, action: Action, viewer: Viewer, reply_to: ReplyTo, *, idempotency_key: str = ""
    ) -> Submission | Job:
        """What a button of any chat does."""
        match action.verb:
            case "reroll":
                return await self.reroll(action.job, viewer, reply_to, idempotency_key=idempotency_key)
            case "score":
                wish = MusicWish(genre=action.choice or None)
                return await self.new_music(
                    action.job, wish, viewer, reply_to, idempotency_key=idempotency_key
                )
            case "cancel":
                return await self.cancel(action.job, viewer)
            case "animate" | "extend" | "bigger":
                return await self.make_derivative(action, viewer, reply_to, idempotency_key=idempotency_key)
            case "again":
                return await self.send_again(action.job, viewer)
        raise UnknownChoice("button", action.verb, None)

    async def report(self, job_id: int, viewer: Viewer, comment: str = "") -> bool:
        """Report a clip to the admins; False if this user reported it before. Raises NoSuchJob."""
        job = await self._access.require(Right.SEE, job_id, viewer)
        return await self._review.report(job, viewer.requester, comment)

    async def appeal(self, viewer: Viewer, comment: str = "", *, refusal: int = 0) -> bool:
        """Appeal against a refusal of the viewer's own prompt, or the latest one if 0.

        False if the user appealed against it before. Raises NothingToAppeal.
        """
        return await self._review.appeal(viewer.requester, comment, refusal=refusal)

    async def decide_review(self, action: Action, viewer: Viewer) -> AdminResult:
        """A button below an admin notice; raises NotAllowed unless an operator pressed it."""
        return await self.administer(f"{REVIEW_VERBS[action.verb]} {action.job}", viewer)

    async def administer(self, line: str, viewer: Viewer) -> AdminResult:
        """Perform an admin verb; raises NotAllowed unless the viewer is an operator, or a UserError."""
        return await self._admin.perform(line, viewer.requester)

    def _notify_admins_of_held(self, event: JobHeld) -> None:
        self._run_in_background(self._review.notify_held(event.job))

    def _run_in_background(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._background_tasks.add(task)
        task.add_done_callback(self._background_tasks.discard)
