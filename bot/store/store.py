"""The database of jobs, credits and users: one SQLite file. Every method is one transaction."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from bot.domain.jobs import Draft, Job
from bot.domain.quota import Allowance, Balance, Caps, UploadLimits
from bot.store import (
    admin_decisions,
    admin_queue,
    affinity,
    deletion_list,
    delivery,
    enqueue,
    eta,
    inspections,
    integrity,
    job_queries,
    ledger,
    links,
    outside_cancels,
    payments,
    people,
    privacy,
    queue,
    reports,
    status_outbox,
    uploads,
)
from bot.store.admin_decisions import AdminRules, AuditEntry, Block, Standing
from bot.store.admin_transaction import AdminTransaction
from bot.store.database import DATABASE_FILE, Access, Database
from bot.store.delivery import Recovered
from bot.store.enqueue import Enqueued
from bot.store.enqueue_cache import EnqueueCache
from bot.store.eta import Eta
from bot.store.integrity import JobClipFile
from bot.store.job_rows import Superseded
from bot.store.ledger import LedgerEntry
from bot.store.links import LinkRequest, LinkSide
from bot.store.payments import Payment
from bot.store.privacy import DeletedData
from bot.store.reports import Refusal
from generation.clip import Clip
from generation.errors import ExplainedError

Clock = Callable[[], float]
T = TypeVar("T")

__all__ = [
    "DATABASE_FILE",
    "Access",
    "AdminRules",
    "AdminTransaction",
    "AuditEntry",
    "Block",
    "DeletedData",
    "Enqueued",
    "Eta",
    "JobClipFile",
    "LedgerEntry",
    "LinkRequest",
    "LinkSide",
    "Payment",
    "Recovered",
    "Refusal",
    "Standing",
    "Store",
    "Superseded",
]


class Store:
    def __init__(self, database: Database, clock: Clock, monotonic: Clock) -> None:
        self._database = database
        self._clock = clock
        self._monotonic = monotonic  # for leases, because a wall clock may jump
        self._enqueue_cache = EnqueueCache()
        self._wal_has_deleted_text = False
        database.on_rollback(self._enqueue_cache.clear)

    @classmethod
    async def open(
        cls,
        folder: Path,
        access: Access = Access.OWNER,
        *,
        clock: Clock = time.time,
        monotonic: Clock = time.monotonic,
        platforms_without_final_status: frozenset[str] = frozenset(),
    ) -> Self:
        """Open the database in `folder`.

        For jobs of `platforms_without_final_status` no final status is kept to be shown later.
        Raises a StartError: AlreadyRunning, DatabaseCorrupt, DatabaseNewer or DataFolderUnusable.
        """
        database = await Database.open(
            folder, access, platforms_without_final_status=platforms_without_final_status
        )
        return cls(database, clock, monotonic)

    async def close(self) -> None:
        await self._database.close()

    # The queue

    async def enqueue(
        self, draft: Draft, *, allowance: Allowance, caps: Caps, pool: Allowance | None = None
    ) -> Enqueued:
        """Raises QuotaSpent, QueueFull or RateLimited.

        `pool` is the allowance that the whole community shares; it is spent last.
        """
        now = self._clock()

        def act(c: sqlite3.Connection) -> Enqueued:
            return enqueue.enqueue(
                c,
                draft,
                allowance=allowance,
                pool=pool,
                caps=caps,
                enqueue_cache=self._enqueue_cache,
                now=now,
            )

        return await self._database.write(act)

    async def claim(
        self,
        *,
        lease: float,
        prefer_model: str | None = None,
        max_passes: int = affinity.MAX_PASSES,
        only_job: int | None = None,
    ) -> Job | None:
        """Claim the next job in fair order; None if no job is queued.

        The job is RUNNING under a new epoch for `lease` seconds. With `only_job`, claim that job or none,
        whatever its position. With `prefer_model`, a job of that model may overtake up to `max_passes`
        older ones.
        """
        until, now = self._monotonic() + lease, self._clock()

        def act(c: sqlite3.Connection) -> Job | None:
            chosen = only_job
            if only_job is None and prefer_model is not None:
                chosen = affinity.pick_preferred_job(c, prefer_model, max_passes)
            return queue.claim(c, until=until, only_job=chosen, now=now)

        return await self._database.write(act)

    async def renew(self, job: int, epoch: int, *, lease: float) -> bool:
        """Extend the lease. False if the job was cancelled or is running under a newer epoch."""
        until = self._monotonic() + lease
        return await self._database.write(lambda c: queue.renew(c, job, epoch, until=until))

    async def mark_picture_done(self, job: int, epoch: int) -> Job:
        """From now on a cancellation is not refunded.

        Raises Superseded if the epoch is not current, like every method that takes an epoch.
        """
        return await self._database.write(lambda c: queue.mark_picture_done(c, job, epoch))

    async def mark_rendered(self, job: int, epoch: int, clip: Clip) -> None:
        await self._database.write(lambda c: queue.mark_rendered(c, job, epoch, clip, now=self._clock()))

    async def mark_failed(self, job: int, epoch: int, error: ExplainedError) -> Job:
        return await self._database.write(
            lambda c: queue.mark_failed(c, job, epoch, error, now=self._clock())
        )

    async def requeue(self, job: int, epoch: int, *, guilty: bool) -> Job:
        """Return the job to its place in the queue; `guilty` counts an attempt: the engine died of it."""
        return await self._database.write(lambda c: queue.requeue(c, job, epoch, guilty=guilty))

    async def requeue_expired(self) -> list[int]:
        """Requeue running jobs whose lease expired, without counting an attempt; returns their numbers."""
        return await self._database.write(
            lambda c: queue.requeue_running(c, monotonic_now=self._monotonic(), include_leased=False)
        )

    async def cancel(self, job: int) -> Job:
        """Raises NoSuchJob or TooLate."""
        return await self._database.write(lambda c: queue.cancel(c, job, now=self._clock()))

    # Delivery: each method raises Superseded if the job is not in the state that it expects

    async def begin_delivery(self, job: int) -> Job:
        return await self._database.write(lambda c: delivery.begin(c, job))

    async def mark_delivered(self, job: int, message: str) -> Job:
        return await self._database.write(lambda c: delivery.mark_delivered(c, job, message))

    async def mark_not_sent(self, job: int) -> Job:
        """The clip was certainly not sent: the job is RENDERED again and delivered later."""
        return await self._database.write(lambda c: delivery.mark_not_sent(c, job))

    async def mark_uncertain(self, job: int) -> Job:
        """The clip may have been sent: the job is UNCERTAIN until the user asks for it again."""
        return await self._database.write(lambda c: delivery.mark_uncertain(c, job))

    async def send_again(self, job: int) -> Job:
        return await self._database.write(lambda c: delivery.send_again(c, job))

    async def mark_undeliverable(self, job: int, error: ExplainedError) -> Job:
        """The clip can never be sent to this chat: the job is FAILED and refunded, the clip kept."""
        return await self._database.write(
            lambda c: delivery.mark_undeliverable(c, job, error, now=self._clock())
        )

    async def undelivered(self) -> list[Job]:
        """The RENDERED jobs, oldest first."""
        return await self._database.read(delivery.undelivered)

    async def recover(self, deduplicating: Collection[str]) -> Recovered:
        """Requeue or resend what the last run left unfinished. Call it before any worker starts.

        A clip that was being sent is sent again only on a platform in `deduplicating`.
        """
        return await self._database.write(lambda c: delivery.recover(c, deduplicating))

    async def save_status_message(self, job: int, message: str) -> None:
        """Store the id of the status message that shows the job's progress."""
        sql = "UPDATE job SET reply_to = json_set(reply_to, '$.status', ?) WHERE id = ?"
        await self._database.write(lambda c: c.execute(sql, (message, job)).rowcount)

    async def move_chat(self, platform: str, old: str, new: str) -> None:
        """Use the new id of a chat for its settings and for the replies of all its jobs."""
        await self._database.write(lambda c: people.move_chat(c, platform, old=old, new=new))

    # Job queries

    async def job(self, number: int) -> Job:
        """Raises NoSuchJob."""
        return await self._database.read(lambda c: job_queries.job(c, number))

    async def queue_position(self, job: int) -> int | None:
        """How many queued jobs are ahead of it; None if it is not queued."""
        return await self._database.read(lambda c: job_queries.queue_position(c, job))

    async def waiting(self, limit: int = 25) -> list[Job]:
        """The running jobs, then the queued ones, in the order in which they will run."""
        return await self._database.read(lambda c: job_queries.running_then_queued(c, limit))

    async def queued_and_running(self) -> tuple[int, int]:
        """How many jobs are queued, and how many are running."""
        return await self._database.read(job_queries.queued_and_running)

    async def history(self, key: str, limit: int = 10) -> list[Job]:
        """The user's jobs on all linked platforms, newest first."""
        return await self._database.read(lambda c: job_queries.history(c, key, limit))

    # Credits; `key` is Requester.key, or "pool:" and a community's key

    async def balance(self, key: str, allowance: Allowance) -> Balance:
        now = self._clock()
        return await self._database.read(lambda c: ledger.balance_of(c, key, allowance, now))

    async def used_in_window(self, key: str, allowance: Allowance) -> int:
        """Credits used in the window from all purses, less refunds; also counted for unlimited users."""
        now = self._clock()
        return await self._database.read(lambda c: ledger.used_in_window(c, key, allowance, now))

    async def ledger_entries(self, key: str, limit: int = 10) -> list[LedgerEntry]:
        def look(c: Any) -> list[LedgerEntry]:
            account = people.find_account(c, key)
            return ledger.entries(c, account, limit) if account else []

        return await self._database.read(look)

    async def grant(self, key: str, credits_: int, *, note: str = "") -> None:
        def act(c: Any) -> None:
            now = self._clock()
            ledger.grant(c, people.find_or_create_account(c, key, now=now), credits_, note=note, now=now)

        await self._database.write(act)

    async def record_purchase(self, key: str, credits_: int, *, payment: str) -> bool:
        """Grant credits that were paid for; False if this payment was recorded before."""

        def act(c: Any) -> bool:
            now = self._clock()
            return payments.record_purchase(c, key, credits_, name=payment, now=now)

        return await self._database.write(act)

    async def payments_of(self, key: str) -> list[Payment]:
        """The user's payments that were not refunded, newest first."""
        return await self._database.read(lambda c: payments.payments_of(c, key))

    async def refunded_payment(self, key: str, payment_id: int) -> Payment | None:
        """That payment of the user's account, if it was refunded."""
        return await self._database.read(lambda c: payments.refunded_payment(c, key, payment_id))

    async def begin_own_refund(self, key: str, payment_id: int) -> Payment:
        """Withdraw the credits of a payment of the user's account, if none of them is spent.

        A refund that is under way is returned as it is. Raises NoSuchPayment.
        """
        now = self._clock()
        return await self._database.write(lambda c: payments.begin_own_refund(c, key, payment_id, now))

    async def begin_refund(self, name: str) -> Payment:
        """Withdraw what is left of the credits of any payment.

        A refund that is under way is returned as it is. Raises NoSuchPayment.
        """
        now = self._clock()
        return await self._database.write(lambda c: payments.begin_refund(c, name, now))

    async def finish_refund(self, payment_id: int) -> None:
        """Call this once the platform has returned the money."""
        await self._database.write(lambda c: payments.finish_refund(c, payment_id))

    async def cancel_refund(self, payment_id: int) -> None:
        """Book the credits back after the platform refused."""
        now = self._clock()
        await self._database.write(lambda c: payments.cancel_refund(c, payment_id, now))

    async def refund_under_way(self, payment_id: int) -> Payment:
        """The payment, if the platform's answer is still not known. Raises NoSuchPayment."""
        return await self._database.read(lambda c: payments.refund_under_way(c, payment_id))

    async def refunds_under_way(self, platform: str) -> list[Payment]:
        """Refunds that were begun, and whose outcome is not known."""
        return await self._database.read(lambda c: payments.refunds_under_way(c, platform))

    async def reverse_purchase(self, payment: str, *, payer: str) -> int | None:
        """Take back what is left of the credits of a payment that was returned to `payer`.

        None if that was done before, or if the payment is unknown or of another account.
        """
        now = self._clock()
        return await self._database.write(
            lambda c: payments.reverse_purchase(c, payment, payer=payer, now=now)
        )

    # Uploads

    async def reserve_upload(self, key: str, size: int, limits: UploadLimits) -> None:
        """Record a file that is about to be fetched; raises RateLimited or UploadLimitReached."""
        await self._database.write(lambda c: uploads.reserve(c, key, size, limits, self._clock()))

    async def record_stored_bytes(self, key: str, size: int) -> None:
        """Record the bytes that a stored file takes beyond those that were reserved for it."""
        await self._database.write(lambda c: uploads.record_stored_bytes(c, key, size, self._clock()))

    async def files_named_by_jobs(self, paths: Iterable[str]) -> set[str]:
        """Those of the new files that a job names, also one whose enqueue was cancelled just before."""
        wanted = set(paths)
        return await self._database.write(
            lambda c: uploads.named_by_jobs(c, wanted)
        )  # after all other writes

    # Settings and global values

    async def chosen_languages(self, platform: str) -> dict[str, str]:
        """The language of every user and community of a platform that chose one, by key."""
        return await self._database.read(lambda c: people.chosen_languages(c, platform))

    async def settings(self, key: str) -> dict[str, Any]:
        return await self._database.read(lambda c: people.settings(c, key))

    async def change_setting(self, key: str, name: str, value: Any) -> None:
        """None removes the setting."""
        await self._database.write(lambda c: people.change_setting(c, key, name, value, now=self._clock()))

    async def pause(self, *, paused: bool) -> None:
        """While paused, no job is claimed; new jobs can still be queued."""
        await self._database.write(lambda c: people.set_global_value(c, "paused", paused))

    async def paused(self) -> bool:
        return bool(await self._database.read(lambda c: people.global_value(c, "paused")))

    # Standing, admin rules and reports

    async def standing(self, key: str) -> Standing:
        """The user's block, tier and personal number of credits."""
        return await self._database.read(lambda c: admin_decisions.standing(c, key, self._clock()))

    async def admin_rules(self) -> AdminRules:
        """The rules that admins set at run time."""
        return await self._database.read(admin_decisions.admin_rules)

    async def rules_and_standing(self, key: str) -> tuple[AdminRules, Standing]:
        """Both from one view of the data."""
        now = self._clock()
        return await self._database.read(
            lambda c: (admin_decisions.admin_rules(c), admin_decisions.standing(c, key, now))
        )

    async def run_admin(self, command: Callable[[AdminTransaction], T], *, read_only: bool) -> T:
        """Run `command` in one transaction; if it raises, nothing that it did is kept.

        It may be run twice, so it must do nothing but call the transaction.
        """
        now = self._clock()

        def run(c: sqlite3.Connection) -> T:
            return command(AdminTransaction(c, now))

        return await (self._database.read(run) if read_only else self._database.write(run))

    async def audit_entries(self, limit: int) -> list[AuditEntry]:
        """What admins did, newest first."""
        return await self._database.read(lambda c: admin_decisions.audit_entries(c, limit))

    async def add_strike(self, key: str, rule: str, *, timeout_for: Callable[[int], float | None]) -> Block:
        """Record a severe refusal and block the user.

        `timeout_for` maps the number of recent strikes to the seconds of the block, or to None for a block
        until an admin lifts it.
        """
        now = self._clock()

        return await self._database.write(
            lambda c: admin_decisions.strike(c, key, rule, timeout_for=timeout_for, now=now)
        )

    async def record_refusal(self, *, person: str, rule: str, words: str) -> int:
        """Keep a refused prompt, so that the user can appeal; returns its number."""
        now = self._clock()
        return await self._database.write(
            lambda c: reports.record_refusal(c, person=person, rule=rule, words=words, now=now)
        )

    async def check_refusal_rate(self, person: str, *, burst: int, seconds: float) -> None:
        """Raises RateLimited if so many prompts of this user were refused within so many seconds."""
        now = self._clock()
        await self._database.read(
            lambda c: reports.check_refusal_rate(c, person, burst=burst, seconds=seconds, now=now)
        )

    async def appealable_refusal(self, person: str, number: int) -> Refusal | None:
        """That refusal of the user, or the latest one for 0; None once it is too old to appeal."""
        now = self._clock()
        return await self._database.read(lambda c: reports.appealable_refusal(c, person, number, now))

    async def file_report(
        self,
        kind: str,
        *,
        person: str,
        job: int | None = None,
        words: str = "",
        refusal_id: int | None = None,
    ) -> int | None:
        """File a "report" of a clip or an "appeal" against a refusal; returns its number.

        None if it was filed before, or if the user has too many open ones.
        """
        now = self._clock()
        return await self._database.write(
            lambda c: reports.file_report(
                c, kind, person=person, job=job, words=words, refusal_id=refusal_id, now=now
            )
        )

    async def announcement(self) -> str:
        """The current announcement of the admins; empty if there is none."""
        return await self._database.read(lambda c: admin_decisions.announcement(c, self._clock()))

    async def hold_clip(self, job: int, error: ExplainedError) -> Job:
        """Hold a RENDERED clip back until an admin reviews it."""
        return await self._database.write(lambda c: admin_queue.hold_clip(c, job, error))

    # Clip inspections

    async def verdict_of(self, job: int) -> str | None:
        """The saved verdict on the clip; None if it was not inspected."""
        return await self._database.read(lambda c: inspections.verdict_of(c, job))

    async def detection(self, job: int) -> tuple[str, float] | None:
        """What the inspection of the clip detected, and how certain it was."""
        return await self._database.read(lambda c: inspections.detection(c, job))

    async def spoilered(self, jobs: Sequence[int]) -> frozenset[int]:
        """Those of the jobs whose clips are sent as spoilers."""
        return await self._database.read(lambda c: inspections.spoilered(c, jobs))

    async def save_inspection(self, job: int, *, verdict: str, label: str, certainty: float) -> None:
        now = self._clock()
        await self._database.write(
            lambda c: inspections.save_inspection(
                c, job, verdict=verdict, label=label, certainty=certainty, now=now
            )
        )

    # Final statuses that users have not seen yet, and jobs that another process ended

    async def jobs_without_final_status(self) -> list[Job]:
        """Jobs that ended without a clip and whose users have not been told, oldest first."""
        return await self._database.read(status_outbox.pending_jobs)

    async def final_status_is_pending(self, job: int) -> bool:
        return await self._database.read(lambda c: status_outbox.is_pending(c, job))

    async def mark_final_status_shown(self, job: int) -> None:
        await self._database.write(lambda c: status_outbox.remove(c, job))

    async def has_outside_cancels(self) -> bool:
        """True if a process beside this one ended jobs that this one has not handled."""
        return await self._database.read(outside_cancels.has_pending)

    async def take_outside_cancels(self) -> dict[int, bool]:
        """Those jobs, and whether their users still need a final status; each is returned once."""
        return await self._database.write(outside_cancels.take_all)

    # Disk space

    async def removable_clips(self, limit: int) -> list[JobClipFile]:
        """The oldest delivered clips that no unfinished job needs."""
        return await self._database.read(lambda c: integrity.removable_clips(c, limit))

    async def forget_clip(self, job: int) -> bool:
        """Call this before the clip file is deleted; False if the clip is needed again."""
        return await self._database.write(lambda c: integrity.forget_clip(c, job))

    async def eta(self, job: int, *, slots: int = 1) -> Eta | None:
        """When the job is likely done, in seconds from now; None if no similar job was measured yet."""
        return await self._database.read(lambda c: eta.eta(c, job, slots=slots, now=self._clock()))

    # Links

    async def create_link_code(self, side: LinkSide) -> str:
        """A code that links another platform's user to this one; valid for ten minutes.

        Raises AlreadyLinked.
        """
        return await self._database.write(lambda c: links.create_link_code(c, side, self._clock()))

    async def withdraw_link_code(self, code: str) -> None:
        """Make a code invalid, because others have seen it."""
        await self._database.write(lambda c: links.withdraw_link_code(c, code))

    async def request_link(self, taker: LinkSide, code: str) -> LinkRequest:
        """Use a code. Nothing is shared until both sides have confirmed the request.

        Raises InvalidLinkCode or AlreadyLinked.
        """
        return await self._database.write(lambda c: links.request_link(c, taker, code, self._clock()))

    async def pending_link_request(self, key: str) -> LinkRequest | None:
        """The user's request that waits for confirmation."""
        return await self._database.read(lambda c: links.pending_request(c, key, self._clock()))

    async def answer_link_request(self, key: str, number: int, *, agree: bool) -> LinkRequest:
        """Record one side's answer; join the accounts once both agree. A refusal deletes the request.

        Raises InvalidLinkCode if the user has no such request, or AlreadyLinked.
        """
        return await self._database.write(
            lambda c: links.answer_request(c, key, number, agree=agree, now=self._clock())
        )

    async def unlink(self, key: str) -> list[str]:
        """Undo the links of this user; returns the keys of the other users."""
        return await self._database.write(lambda c: links.separate(c, key, self._clock()))

    async def linked_keys(self, key: str) -> list[str]:
        return await self._database.read(lambda c: links.linked_keys(c, key))

    # Privacy

    async def export(self, key: str) -> dict[str, Any]:
        return await self._database.read(lambda c: privacy.export(c, key))

    async def delete_personal_data(self, key: str) -> DeletedData:
        """Delete the user's data; the caller deletes the files that are returned.

        The deletion is listed first, so that it is repeated if a backup is restored.
        """
        now = self._clock()
        await asyncio.to_thread(deletion_list.record, self._database.path.parent, key, now)
        deleted = await self._database.write(lambda c: privacy.delete_personal_data(c, key, now))
        await self._truncate_wal()
        return deleted

    async def blank_ended_jobs(self) -> DeletedData:
        """Delete the content of jobs that ended after their users had deleted their data.

        The caller deletes the files that are returned.
        """
        deleted = DeletedData()
        now = self._clock()
        if await self._database.read(lambda c: privacy.has_jobs_to_blank(c, now)):
            deleted = await self._database.write(lambda c: privacy.blank_ended_jobs(c, now))
            self._wal_has_deleted_text = True
        if self._wal_has_deleted_text:
            await self._truncate_wal()
        return deleted

    async def _truncate_wal(self) -> None:
        """If a reader prevents it, `blank_ended_jobs` tries again."""
        self._wal_has_deleted_text = not await self._database.truncate_wal()

    async def delete_expired(self, *, before: float | None) -> DeletedData:
        """Delete the content of jobs that finished before that time; None keeps it.

        Expired codes, blocks, strikes and refusals are deleted in either case. The caller deletes the files
        that are returned.
        """
        deleted = await self._database.write(
            lambda c: privacy.delete_expired(c, before=before, now=self._clock())
        )
        if deleted.jobs:
            await self._truncate_wal()
        return deleted
