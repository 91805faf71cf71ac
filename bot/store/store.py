"""What Matinee remembers: jobs, credits and people, in one SQLite file. Every verb is one transaction."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Self, TypeVar

from bot.domain.jobs import Draft, Job
from bot.domain.quota import Allowance, Balance, Caps
from bot.store import (
    admin_queue,
    admin_state,
    affinity,
    delivery,
    enqueue,
    eta,
    job_queries,
    ledger,
    people,
    privacy,
    queue,
    reports,
)
from bot.store.admin_state import AdminRules, Block, Standing
from bot.store.database import DATABASE_FILE, Access, Database
from bot.store.delivery import Recovered
from bot.store.enqueue import Enqueued
from bot.store.enqueue_cache import EnqueueCache
from bot.store.eta import Eta
from bot.store.job_rows import Superseded
from bot.store.ledger import LedgerEntry
from bot.store.privacy import DeletedData, LinkResult
from generation.clip import Clip
from generation.errors import ExplainedError

Clock = Callable[[], float]
T = TypeVar("T")
STRIKE_REASON = "a rule that protects people was broken"

__all__ = [
    "DATABASE_FILE",
    "Access",
    "AdminRules",
    "Block",
    "DeletedData",
    "Enqueued",
    "Eta",
    "LedgerEntry",
    "LinkResult",
    "Recovered",
    "Standing",
    "Store",
    "Superseded",
]


class Store:
    def __init__(self, database: Database, clock: Clock, monotonic: Clock) -> None:
        self.database = database
        self._clock = clock
        self._monotonic = monotonic  # leases are measured on it: a wall clock may jump
        self._enqueue_cache = EnqueueCache()
        database.on_rollback(self._enqueue_cache.clear)

    @classmethod
    async def open(
        cls,
        folder: Path,
        access: Access = Access.OWNER,
        *,
        clock: Clock = time.time,
        monotonic: Clock = time.monotonic,
    ) -> Self:
        """Raises a StartError: AlreadyRunning, DatabaseCorrupt, DatabaseNewer or DataFolderUnusable."""
        return cls(await Database.open(folder, access), clock, monotonic)

    async def close(self) -> None:
        await self.database.close()

    # The queue

    async def enqueue(
        self, draft: Draft, *, allowance: Allowance, caps: Caps, pool: Allowance | None = None
    ) -> Enqueued:
        """Raises QuotaSpent, QueueFull or TooFast. `pool` is what the whole community shares, spent last."""
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

        return await self.database.write(act)

    async def claim(
        self,
        *,
        lease: float,
        prefer_model: str | None = None,
        max_passes: int = affinity.MAX_PASSES,
        only_job: int | None = None,
    ) -> Job | None:
        """The next job in fair order, RUNNING under a new epoch for `lease` seconds; None when none waits.

        With `this` no other job than that is claimed, whose turn ever it is. With `prefer_model` a job of
        that model may go before up to `passing` older ones.
        """
        until, now = self._monotonic() + lease, self._clock()

        def act(c: sqlite3.Connection) -> Job | None:
            chosen = only_job
            if only_job is None and prefer_model is not None:
                chosen = affinity.pick_preferred_job(c, prefer_model, max_passes)
            return queue.claim(c, until=until, only_job=chosen, now=now)

        return await self.database.write(act)

    async def renew(self, job: int, epoch: int, *, lease: float) -> bool:
        """False when the job is no longer ours: cancelled, or given to another."""
        until = self._monotonic() + lease
        return await self.database.write(lambda c: queue.renew(c, job, epoch, until=until))

    async def mark_picture_done(self, job: int, epoch: int) -> Job:
        """From here on a cancellation is not refunded. Raises Superseded, as all that name an epoch do."""
        return await self.database.write(lambda c: queue.mark_picture_done(c, job, epoch))

    async def mark_rendered(self, job: int, epoch: int, clip: Clip) -> None:
        await self.database.write(lambda c: queue.mark_rendered(c, job, epoch, clip, now=self._clock()))

    async def mark_failed(self, job: int, epoch: int, error: ExplainedError) -> Job:
        return await self.database.write(lambda c: queue.mark_failed(c, job, epoch, error, now=self._clock()))

    async def requeue(self, job: int, epoch: int, *, guilty: bool) -> Job:
        """Back to its fair place; `guilty` if the engine died of it."""
        return await self.database.write(lambda c: queue.requeue(c, job, epoch, guilty=guilty))

    async def hold(self, job: int, epoch: int, error: ExplainedError) -> Job:
        """Set aside for a person to look at; the credits stay reserved."""
        return await self.database.write(lambda c: queue.hold(c, job, epoch, error))

    async def requeue_expired(self) -> list[int]:
        """Requeue, without blame, what runs under a lease that ran out."""
        return await self.database.write(
            lambda c: queue.requeue_running(c, monotonic_now=self._monotonic(), include_leased=False)
        )

    async def cancel(self, job: int) -> Job:
        """Raises NoSuchJob or TooLate."""
        return await self.database.write(lambda c: queue.cancel(c, job, now=self._clock()))

    # Delivery: each raises Superseded when the job is not where it should be

    async def begin_delivery(self, job: int) -> Job:
        return await self.database.write(lambda c: delivery.begin(c, job))

    async def mark_delivered(self, job: int, message: str) -> Job:
        return await self.database.write(lambda c: delivery.mark_delivered(c, job, message))

    async def mark_not_sent(self, job: int) -> Job:
        """Certainly not sent: RENDERED again, to be tried later."""
        return await self.database.write(lambda c: delivery.mark_not_sent(c, job))

    async def mark_uncertain(self, job: int) -> Job:
        """Perhaps sent: UNCERTAIN until a person asks for it again."""
        return await self.database.write(lambda c: delivery.mark_uncertain(c, job))

    async def send_again(self, job: int) -> Job:
        return await self.database.write(lambda c: delivery.send_again(c, job))

    async def mark_undeliverable(self, job: int, error: ExplainedError) -> Job:
        """It can never be sent there: FAILED and refunded, the clip kept."""
        return await self.database.write(
            lambda c: delivery.mark_undeliverable(c, job, error, now=self._clock())
        )

    async def undelivered(self) -> list[Job]:
        """The RENDERED jobs, oldest first."""
        return await self.database.read(delivery.undelivered)

    async def recover(self, deduplicating: Collection[str]) -> Recovered:
        """At a start, before any worker: nothing runs and nothing is being sent."""
        return await self.database.write(lambda c: delivery.recover(c, deduplicating))

    async def save_status_message(self, job: int, message: str) -> None:
        """The id of our own message that tells how far the job is."""
        sql = "UPDATE job SET reply_to = json_set(reply_to, '$.status', ?) WHERE id = ?"
        await self.database.write(lambda c: c.execute(sql, (message, job)).rowcount)

    async def move_chat(self, platform: str, old: str, new: str) -> None:
        """A chat has another id now: all its replies and its settings follow in one transaction."""
        await self.database.write(lambda c: people.move_chat(c, platform, old=old, new=new))

    # Looking

    async def job(self, number: int) -> Job:
        """Raises NoSuchJob."""
        return await self.database.read(lambda c: job_queries.job(c, number))

    async def queue_position(self, job: int) -> int | None:
        """How many that wait will be served before it; None once it no longer waits."""
        return await self.database.read(lambda c: job_queries.queue_position(c, job))

    async def waiting(self, limit: int = 25) -> list[Job]:
        """Those being made, then those that wait, in the order they will be served."""
        return await self.database.read(lambda c: job_queries.running_then_queued(c, limit))

    async def history(self, key: str, limit: int = 10) -> list[Job]:
        return await self.database.read(lambda c: job_queries.history(c, key, limit))

    # Credits; `key` is Requester.key, or "pool:" and a community's key

    async def balance(self, key: str, allowance: Allowance) -> Balance:
        def look(c: Any) -> Balance:
            account = people.find_account(c, key) or 0  # no account has that number
            return ledger.balance(c, account, allowance, self._clock())

        return await self.database.read(look)

    async def ledger_entries(self, key: str, limit: int = 10) -> list[LedgerEntry]:
        def look(c: Any) -> list[LedgerEntry]:
            account = people.find_account(c, key)
            return ledger.entries(c, account, limit) if account else []

        return await self.database.read(look)

    async def grant(self, key: str, credits_: int, *, note: str = "") -> None:
        def act(c: Any) -> None:
            now = self._clock()
            ledger.grant(c, people.find_or_create_account(c, key, now=now), credits_, note=note, now=now)

        await self.database.write(act)

    async def record_purchase(self, key: str, credits_: int, *, payment: str) -> bool:
        """Credits that were paid for; False if this payment was booked before."""

        def act(c: Any) -> bool:
            now = self._clock()
            account = people.find_or_create_account(c, key, now=now)
            return ledger.record_purchase(c, account, credits_, payment=payment, now=now)

        return await self.database.write(act)

    # People and facts

    async def settings(self, key: str) -> dict[str, Any]:
        return await self.database.read(lambda c: people.settings(c, key))

    async def change_setting(self, key: str, name: str, value: Any) -> None:
        """None forgets it."""
        await self.database.write(lambda c: people.change_setting(c, key, name, value, now=self._clock()))

    async def pause(self, *, paused: bool) -> None:
        """While paused nothing is claimed; new jobs may still join the line."""
        await self.database.write(lambda c: people.set_global_value(c, "paused", paused))

    async def paused(self) -> bool:
        return bool(await self.database.read(lambda c: people.global_value(c, "paused")))

    # Standing and rules

    async def standing(self, key: str) -> Standing:
        """Blocked? Which tier, and which credits of their own?"""
        return await self.look(lambda c, now: admin_state.standing(c, key, now))

    async def admin_rules(self) -> AdminRules:
        """What admins set while running."""
        return await self.look(lambda c, _: admin_state.admin_rules(c))

    async def add_strike(self, key: str, rule: str, *, timeout_for: Callable[[int], float | None]) -> Block:
        """A severe refusal: written down and answered with a time-out, `wait` seconds for so many of them."""

        def act(c: sqlite3.Connection, now: float) -> Block:
            seconds = timeout_for(admin_state.add_strike(c, key, rule, now))
            until = None if seconds is None else now + seconds
            admin_state.block(c, key, until=until, reason=STRIKE_REASON, now=now)
            return Block(until=until, reason=STRIKE_REASON)

        return await self.act(act)

    async def file_report(
        self,
        kind: str,
        *,
        person: str,
        job: int | None = None,
        words: str = "",
        refusal_id: int | None = None,
    ) -> int | None:
        """A "report" of a clip or an "appeal" against a refusal; None if it was made before."""
        return await self.act(
            lambda c, now: reports.file_report(
                c, kind, person=person, job=job, words=words, refusal_id=refusal_id, now=now
            )
        )

    async def announcement(self) -> str:
        """What admins want said everywhere today, or nothing."""
        return await self.look(admin_state.announcement)

    async def hold_clip(self, job: int, error: ExplainedError) -> Job:
        """A RENDERED clip set aside for a person to look at before it is sent."""
        return await self.act(lambda c, _: admin_queue.hold_clip(c, job, error))

    async def eta(self, job: int, *, slots: int = 1) -> Eta | None:
        """When it is likely done, as a range in seconds from now; None while nothing like it was measured."""
        return await self.look(lambda c, now: eta.eta(c, job, slots=slots, now=now))

    # Privacy

    async def create_link_code(self, key: str) -> str:
        return await self.act(lambda c, now: privacy.create_link_code(c, key, now))

    async def link(self, key: str, code: str) -> str:
        """One account for two platforms from now on; returns the other key. Raises BadCode."""
        return await self.act(lambda c, now: privacy.link(c, key, code, now))

    async def linked_keys(self, key: str) -> list[str]:
        return await self.look(lambda c, _: privacy.linked_keys(c, key))

    async def export(self, key: str) -> dict[str, Any]:
        return await self.look(lambda c, _: privacy.export(c, key))

    async def delete_personal_data(self, key: str) -> DeletedData:
        """Delete a person's data; the caller deletes the files."""
        return await self.act(lambda c, now: privacy.delete_personal_data(c, key, now))

    async def delete_expired(self, *, before: float | None) -> DeletedData:
        """Blank what finished before that time, None keeps it; the caller deletes the files."""
        return await self.act(lambda c, now: privacy.delete_expired(c, before=before, now=now))

    async def act(self, work: Callable[[sqlite3.Connection, float], T]) -> T:
        """Any composition of the rooms' functions, in one transaction."""
        return await self.database.write(lambda c: work(c, self._clock()))

    async def look(self, work: Callable[[sqlite3.Connection, float], T]) -> T:
        return await self.database.read(lambda c: work(c, self._clock()))
