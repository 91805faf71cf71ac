"""In any order of operations a job ends once and is refunded at most once, and the sums agree.

The suite tries a few dozen sequences. The long run takes minutes:
MATINEE_EXAMPLES=2000 MATINEE_STEPS=50 pytest -n0 tests/bot/store/test_store_stateful.py
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import suppress
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bot.domain.errors import QueueFull, QuotaSpent, TooLate, UserError
from bot.domain.jobs import FINAL_STATES, Draft, Job, JobState
from bot.domain.quota import Allowance, Caps
from bot.store import admin_queue, affinity, delivery, enqueue, job_queries, ledger, people, queue
from bot.store.connection import Connection
from bot.store.enqueue_cache import EnqueueCache
from bot.store.job_rows import Superseded
from bot.store.migrate import load_migrations, migrate
from generation.errors import PictureFailed
from tests.bot.store.conftest import CLIP, NOON, hold_running
from tests.factories import make_draft

OWN_ALLOWANCE, POOL_ALLOWANCE, MAX_QUEUED = Allowance(credits=6), Allowance(credits=4), 8
PICTURE_ERROR = PictureFailed("testcard", "black frames")
USERS = st.sampled_from(["a", "b", "c"])


class StoreStateMachine(RuleBasedStateMachine):
    """Runs the functions behind the store's methods on a real database, one after another."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOON
        self.jobs: dict[int, Job] = {}
        self.ended: dict[int, JobState] = {}
        self.c = sqlite3.connect(":memory:", isolation_level=None, factory=Connection)
        self.caches = [EnqueueCache(), EnqueueCache()]  # the running process, and a terminal beside it
        with tempfile.NamedTemporaryFile() as nothing:
            migrate(self.c, Path(nothing.name), load_migrations())

    def teardown(self) -> None:
        self.c.close()

    def remember(self, job: Job | None) -> None:
        if job:
            self.jobs[job.id] = job

    @rule(
        user=USERS,
        cost=st.integers(0, 4),
        weight=st.sampled_from([0.5, 1.0, 3.0]),
        shared=st.booleans(),
        writer=st.sampled_from([0, 0, 0, 1]),
    )
    def ask(self, user: str, cost: int, weight: float, shared: bool, writer: int) -> None:  # noqa: FBT001  (hypothesis passes it by name)
        draft = make_draft(user, cost=cost, weight=weight, community="7" if shared else "")
        waiting = len(job_queries.running_then_queued(self.c, 50))
        left = self._credits_left(f"discord:{user}", OWN_ALLOWANCE) + (
            self._credits_left("pool:discord:7", POOL_ALLOWANCE) if shared else 0
        )
        answer = self._enqueue(draft, self.caches[writer])
        assert isinstance(answer, QueueFull) or isinstance(answer, QuotaSpent) == (cost > left)
        if isinstance(answer, Job):
            assert waiting < MAX_QUEUED
            self.remember(answer)
        elif isinstance(answer, QueueFull) and answer.whose == "all":
            assert answer.waiting == waiting >= MAX_QUEUED

    def _credits_left(self, key: str, allowance: Allowance) -> int:
        account = people.find_account(self.c, key)
        if account is None:
            return allowance.credits
        return ledger.balance(self.c, account, allowance, self.now).left

    def _enqueue(self, draft: Draft, cache: EnqueueCache) -> Job | UserError:
        caps = Caps(person=4, all=MAX_QUEUED)
        self.c.execute("SAVEPOINT one")
        try:
            return enqueue.enqueue(
                self.c,
                draft,
                allowance=OWN_ALLOWANCE,
                pool=POOL_ALLOWANCE,
                caps=caps,
                enqueue_cache=cache,
                now=self.now,
            ).job
        except (QuotaSpent, QueueFull) as error:
            self.c.execute("ROLLBACK TO one")
            return error
        finally:
            self.c.execute("RELEASE one")

    @rule(user=USERS, cost=st.integers(0, 4), writer=st.sampled_from([0, 1]))
    def ask_then_roll_back(self, user: str, cost: int, writer: int) -> None:
        """The disk fails: the changes are rolled back, and the next job gets the number."""
        self.c.execute("BEGIN")
        self._enqueue(make_draft(user, cost=cost), self.caches[writer])
        self.caches[writer].clear()
        self.c.execute("ROLLBACK")

    @rule(model=st.sampled_from([None, "testcard"]))
    def claim(self, model: str | None) -> None:
        first = affinity.pick_preferred_job(self.c, model, 2) if model else None
        head = next(
            (job for job in job_queries.running_then_queued(self.c, 50) if job.state is JobState.QUEUED), None
        )
        job = queue.claim(self.c, until=self.now, only_job=first, now=self.now)
        assert (job and job.id) == (head and head.id)
        self.remember(job)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), verb=st.sampled_from(["picture done", "rendered", "failed", "requeue", "hold"]))
    def work(self, data: st.DataObject, verb: str) -> None:
        job = self.jobs[data.draw(st.sampled_from(sorted(self.jobs)))]
        epoch = data.draw(st.integers(max(0, job.epoch - 1), job.epoch))
        with suppress(Superseded):
            match verb:
                case "picture done":
                    done = queue.mark_picture_done(self.c, job.id, epoch)
                case "rendered":
                    queue.mark_rendered(self.c, job.id, epoch, CLIP, now=self.now)
                    done = job_queries.job(self.c, job.id)
                case "failed":
                    done = queue.mark_failed(self.c, job.id, epoch, PICTURE_ERROR, now=self.now)
                case "requeue":
                    done = queue.requeue(self.c, job.id, epoch, guilty=True)
                case _:
                    done = hold_running(self.c, job.id, PICTURE_ERROR, epoch)
            assert epoch == job.epoch, "a stale worker changed the job"
            self.remember(done)

    @precondition(lambda self: self.jobs)
    @rule(
        data=st.data(),
        verb=st.sampled_from(["begin", "delivered", "not_sent", "uncertain", "again", "undeliverable"]),
    )
    def send(self, data: st.DataObject, verb: str) -> None:
        number = data.draw(st.sampled_from(sorted(self.jobs)))
        with suppress(Superseded):
            match verb:
                case "begin":
                    done = delivery.begin(self.c, number)
                case "delivered":
                    done = delivery.mark_delivered(self.c, number, "m")
                case "not_sent":
                    done = delivery.mark_not_sent(self.c, number)
                case "uncertain":
                    done = delivery.mark_uncertain(self.c, number)
                case "again":
                    done = delivery.send_again(self.c, number)
                case _:
                    done = delivery.mark_undeliverable(self.c, number, PICTURE_ERROR, now=self.now)
            self.remember(done)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        with suppress(TooLate):
            self.remember(queue.cancel(self.c, data.draw(st.sampled_from(sorted(self.jobs))), now=self.now))

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.jobs)))
        with suppress(UserError):
            self.remember(admin_queue.release(self.c, number))

    @rule()
    def restart(self) -> None:
        delivery.recover(self.c, {"discord"})

    @rule(user=USERS, credits_=st.integers(1, 5))
    def grant(self, user: str, credits_: int) -> None:
        account = people.find_or_create_account(self.c, f"discord:{user}", now=self.now)
        ledger.grant(self.c, account, credits_, note="", now=self.now)

    @rule(hours=st.sampled_from([-30, -1, 1, 13, 30]))
    def time_passes(self, hours: int) -> None:
        self.now += hours * 3600.0

    @invariant()
    def ended_jobs_are_in_the_outbox(self) -> None:
        ended = self.c.execute(
            "SELECT id FROM job WHERE state IN ('failed', 'uncertain', 'cancelled')"
            " EXCEPT SELECT job FROM unsaid"
        )
        assert ended.fetchall() == []

    @invariant()
    def queued_jobs_have_not_started(self) -> None:
        begun = "SELECT 1 FROM job WHERE state = 'queued' AND started_at IS NOT NULL"
        assert self.c.execute(begun).fetchall() == []

    @invariant()
    def a_job_ends_once(self) -> None:
        rows = self.c.execute("SELECT id, state FROM job").fetchall()
        states = {row["id"]: JobState(row["state"]) for row in rows}
        for number, state in self.ended.items():
            assert states[number] is state
        irreversible = FINAL_STATES - {JobState.UNCERTAIN}  # a user may ask for an uncertain one again
        self.ended = {number: state for number, state in states.items() if state in irreversible}

    @invariant()
    def balances_are_sums_and_never_below_zero(self) -> None:
        accounts = [(f"discord:{user}", OWN_ALLOWANCE) for user in "abc"] + [
            ("pool:discord:7", POOL_ALLOWANCE)
        ]
        for key, allowance in accounts:
            account = people.find_account(self.c, key)
            if account is None:
                continue
            found = ledger.balance(self.c, account, allowance, self.now)
            entries = ledger.entries(self.c, account, 10_000)
            granted = sum(entry.credits for entry in entries if entry.purse == "granted")
            assert 0 <= granted == found.granted
            assert 0 <= found.used <= allowance.credits

    @invariant()
    def every_end_is_paid_or_refunded(self) -> None:
        for row in self.c.execute(
            "SELECT job.state, job.cost, job.painted, coalesce(sum(credits), 0) AS paid"
            " FROM job LEFT JOIN ledger ON ledger.job = job.id GROUP BY job.id"
        ):
            free = row["state"] == JobState.FAILED or (
                row["state"] == JobState.CANCELLED and not row["painted"]
            )
            assert row["paid"] == (0 if free else -row["cost"])

    @invariant()
    def positions_match_queue_order(self) -> None:
        line = [job.id for job in job_queries.running_then_queued(self.c, 50) if job.state is JobState.QUEUED]
        assert [job_queries.queue_position(self.c, number) for number in line] == list(range(len(line)))


TestStoreStateMachine = StoreStateMachine.TestCase
TestStoreStateMachine.settings = settings(
    max_examples=int(os.environ.get("MATINEE_EXAMPLES", "60")),
    stateful_step_count=int(os.environ.get("MATINEE_STEPS", "40")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
