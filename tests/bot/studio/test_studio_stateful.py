"""Whatever people, engines and chats do: one end a job, one clip in the chat, and a ledger that sums."""

from __future__ import annotations

import tempfile
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bot.domain.errors import PERSONAL
from bot.domain.jobs import FINAL, Job, State
from bot.pipeline.delivery import Doubtful, Rejected, SendError, TooLarge, Unreachable
from bot.runtime import event_loop
from generation.errors import EngineDied, EngineStuck, PaintFailed
from tests.bot.app_harness import CREDITS, Together, eventually, together, who

USERS = ["ana", "bob", "cem"]
CHARGED = {State.RENDERED, State.DELIVERING, State.DELIVERED, State.UNCERTAIN}
FAILURES = st.sampled_from([Unreachable("down"), Rejected("blocked"), TooLarge(), Doubtful("silence")])
DEATHS = st.sampled_from(
    [EngineDied("fault"), EngineDied("bystander", guilty=False), EngineStuck(3.0), PaintFailed("m", "black")]
)


class StudioInAnyOrder(RuleBasedStateMachine):
    """Two people's chats, an engine that may die, restarts in between; all of it on a real database."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = event_loop.new()
        self.folder = tempfile.TemporaryDirectory()
        self.jobs: dict[int, Job] = {}
        self.shown: dict[int, int] = {}
        self.asked_again: set[int] = set()
        self.start()

    def start(self) -> None:
        self.open = AsyncExitStack()
        entering = self.open.enter_async_context(together(Path(self.folder.name)))
        self.house: Together = self.loop.run_until_complete(entering)

    def teardown(self) -> None:
        self.loop.run_until_complete(self.open.aclose())
        self.loop.close()
        self.folder.cleanup()

    def rest(self) -> None:
        """Until everybody has done what they can without the test's word."""
        assert self.loop.run_until_complete(eventually(self._resting))
        for job in self.jobs:
            self.jobs[job] = self.loop.run_until_complete(self.house.studio.job(job))

    async def _resting(self) -> bool:
        jobs = await self.house.studio.waiting(50)
        rendered = await self.house.store.undelivered()
        busy = self.house.engine
        fed = len(busy.waiting()) == len(busy.orders) == min(busy.slots, len(jobs))
        return fed and not rendered and not await self._sending()

    async def _sending(self) -> bool:
        looks = [await self.house.studio.job(job) for job in self.jobs]
        return any(job.state in {State.RENDERED, State.DELIVERING} for job in looks)

    @rule(user=st.sampled_from(USERS), prompt=st.sampled_from(["a fox", "", "forbidden"]))
    def ask(self, user: str, prompt: str) -> None:
        with suppress(*PERSONAL):
            ticket = self.loop.run_until_complete(self.house.ask(user, prompt))
            self.jobs[ticket.job.id] = ticket.job
        self.rest()

    @precondition(lambda self: self.house.engine.orders)
    @rule(data=st.data())
    def paint(self, data: st.DataObject) -> None:
        self.house.engine.finish(data.draw(st.sampled_from(self.house.engine.waiting())))
        self.rest()

    @precondition(lambda self: self.house.engine.orders)
    @rule(data=st.data(), death=DEATHS)
    def die(self, data: st.DataObject, death: Exception) -> None:
        self.house.engine.fail(data.draw(st.sampled_from(self.house.engine.waiting())), death)
        self.rest()

    @rule(failure=FAILURES)
    def chat_will_fail(self, failure: SendError) -> None:
        self.house.chat.failures.append(failure)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), user=st.sampled_from(USERS), verb=st.sampled_from(["cancel", "again"]))
    def press(self, data: st.DataObject, user: str, verb: str) -> None:
        job = data.draw(st.sampled_from(sorted(self.jobs)))
        studio = self.house.studio
        with suppress(*PERSONAL):
            if verb == "cancel":
                self.loop.run_until_complete(studio.cancel(job, who(user)))
            else:
                self.loop.run_until_complete(studio.send_again(job, who(user)))
                self.asked_again.add(job)
        self.rest()

    @rule()
    def restart(self) -> None:
        self.count_shown()
        self.loop.run_until_complete(self.open.aclose())
        self.start()
        self.rest()

    def count_shown(self) -> None:
        for job, times in self.house.chat.shown.items():
            self.shown[job] = self.shown.get(job, 0) + times
        self.house.chat.shown.clear()

    @invariant()
    def no_clip_twice_unasked(self) -> None:
        self.count_shown()
        for job, times in self.shown.items():
            assert times == 1 or job in self.asked_again
            assert self.jobs[job].state in {State.DELIVERED, State.UNCERTAIN} | FINAL

    @invariant()
    def credits_sum(self) -> None:
        for user in USERS:
            balance = self.loop.run_until_complete(self.house.studio.balance(who(user)))
            mine = [job for job in self.jobs.values() if job.requester.user == user]
            spent = sum(job.cost for job in mine if job.state in CHARGED or job.state not in FINAL)
            assert balance.left == CREDITS - spent >= 0
            entries = self.loop.run_until_complete(self.house.store.entries(f"fake:{user}", 1000))
            assert sum(entry.credits for entry in entries) == -spent
            for job in mine:
                ends = [e.kind for e in entries if e.job == job.id and e.kind in {"settle", "refund"}]
                assert len(ends) <= 2
                assert ends.count("settle") <= 1
                assert ends.count("refund") <= 1

    @invariant()
    def an_end_is_an_end(self) -> None:
        for job in self.jobs.values():
            assert (job.finished_at is not None) >= (job.state in FINAL)


TestStudioInAnyOrder = StudioInAnyOrder.TestCase
TestStudioInAnyOrder.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
