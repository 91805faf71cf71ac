"""In every sequence of actions each job ends once, each clip is sent once, and the ledger adds up."""

from __future__ import annotations

import tempfile
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bot.domain.errors import USER_ERRORS
from bot.domain.jobs import FINAL_STATES, Job, JobState
from bot.pipeline.delivery import MaybeSent, Rejected, SendError, TooLarge, Unreachable
from bot.runtime import event_loop
from generation.errors import EngineDied, EngineStuck, PictureFailed
from tests.bot.app_harness import CREDITS, AppHarness, running_app, wait_until_async
from tests.factories import make_viewer

pytestmark = pytest.mark.slow

USERS = ["ana", "bob", "cem"]
CHARGED_STATES = {JobState.RENDERED, JobState.DELIVERING, JobState.DELIVERED, JobState.UNCERTAIN}
SEND_ERRORS = st.sampled_from([Unreachable("down"), Rejected("blocked"), TooLarge(), MaybeSent("silence")])
ENGINE_ERRORS = st.sampled_from(
    [
        EngineDied("fault"),
        EngineDied("bystander", guilty=False),
        EngineStuck(3.0),
        PictureFailed("m", "black"),
    ]
)


class StudioStateMachine(RuleBasedStateMachine):
    """Two users, an engine that may die, and restarts, on a real database."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = event_loop.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.jobs: dict[int, Job] = {}
        self.shown: dict[int, int] = {}
        self.asked_again: set[int] = set()
        self.start()

    def start(self) -> None:
        self.exit_stack = AsyncExitStack()
        entering = self.exit_stack.enter_async_context(running_app(Path(self.folder.name)))
        self.app: AppHarness = self.loop.run_until_complete(entering)

    def teardown(self) -> None:
        self.loop.run_until_complete(self.exit_stack.aclose())
        self.loop.close()
        self.folder.cleanup()

    def wait_until_idle(self) -> None:
        """Wait until nothing more happens without another action of the test."""
        assert self.loop.run_until_complete(wait_until_async(self._is_idle))
        for job in self.jobs:
            self.jobs[job] = self.loop.run_until_complete(self.app.store.job(job))

    async def _is_idle(self) -> bool:
        jobs = await self.app.store.waiting(50)
        rendered = await self.app.store.undelivered()
        busy = self.app.engine
        fed = len(busy.unfinished()) == len(busy.orders) == min(busy.slots, len(jobs))
        return fed and not rendered and not await self._is_delivering()

    async def _is_delivering(self) -> bool:
        looks = [await self.app.store.job(job) for job in self.jobs]
        return any(job.state in {JobState.RENDERED, JobState.DELIVERING} for job in looks)

    @rule(user=st.sampled_from(USERS), prompt=st.sampled_from(["a fox", "", "forbidden"]))
    def ask(self, user: str, prompt: str) -> None:
        with suppress(*USER_ERRORS):
            submission = self.loop.run_until_complete(self.app.ask(user, prompt))
            self.jobs[submission.job.id] = submission.job
        self.wait_until_idle()

    @precondition(lambda self: self.app.engine.orders)
    @rule(data=st.data())
    def finish_job(self, data: st.DataObject) -> None:
        self.app.engine.finish(data.draw(st.sampled_from(self.app.engine.unfinished())))
        self.wait_until_idle()

    @precondition(lambda self: self.app.engine.orders)
    @rule(data=st.data(), error=ENGINE_ERRORS)
    def fail_job(self, data: st.DataObject, error: Exception) -> None:
        self.app.engine.fail(data.draw(st.sampled_from(self.app.engine.unfinished())), error)
        self.wait_until_idle()

    @rule(failure=SEND_ERRORS)
    def chat_will_fail(self, failure: SendError) -> None:
        self.app.chat.failures.append(failure)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), user=st.sampled_from(USERS), verb=st.sampled_from(["cancel", "again"]))
    def press_button(self, data: st.DataObject, user: str, verb: str) -> None:
        job = data.draw(st.sampled_from(sorted(self.jobs)))
        studio = self.app.studio
        with suppress(*USER_ERRORS):
            if verb == "cancel":
                self.loop.run_until_complete(studio.cancel(job, make_viewer(user)))
            else:
                self.loop.run_until_complete(studio.send_again(job, make_viewer(user)))
                self.asked_again.add(job)
        self.wait_until_idle()

    @rule()
    def restart(self) -> None:
        self.count_shown()
        self.loop.run_until_complete(self.exit_stack.aclose())
        self.start()
        self.wait_until_idle()

    def count_shown(self) -> None:
        for job, times in self.app.chat.clip_counts.items():
            self.shown[job] = self.shown.get(job, 0) + times
        self.app.chat.clip_counts.clear()

    @invariant()
    def no_clip_twice_unasked(self) -> None:
        self.count_shown()
        for job, times in self.shown.items():
            assert times == 1 or job in self.asked_again
            assert self.jobs[job].state in {JobState.DELIVERED, JobState.UNCERTAIN} | FINAL_STATES

    @invariant()
    def credits_sum(self) -> None:
        for user in USERS:
            balance = self.loop.run_until_complete(self.app.studio.balance(make_viewer(user)))
            mine = [job for job in self.jobs.values() if job.requester.user == user]
            spent = sum(
                job.cost for job in mine if job.state in CHARGED_STATES or job.state not in FINAL_STATES
            )
            assert balance.left == CREDITS - spent >= 0
            entries = self.loop.run_until_complete(self.app.store.ledger_entries(f"fake:{user}", 1000))
            assert sum(entry.credits for entry in entries) == -spent
            for job in mine:
                ends = [e.kind for e in entries if e.job == job.id and e.kind in {"settle", "refund"}]
                assert len(ends) <= 2
                assert ends.count("settle") <= 1
                assert ends.count("refund") <= 1

    @invariant()
    def final_jobs_have_an_end_time(self) -> None:
        for job in self.jobs.values():
            assert (job.finished_at is not None) >= (job.state in FINAL_STATES)


TestStudioStateMachine = StudioStateMachine.TestCase
TestStudioStateMachine.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
