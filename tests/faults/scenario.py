"""Run one fault on one platform against the real bot and return the outcome."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

from bot.domain.jobs import JobState
from generation.failpoint import ENV_VAR, TRIGGERED_FILE_ENV_VAR
from tests.fakes.discord_users import Person, Reply, person
from tests.fakes.telegram_users import TelegramUser
from tests.faults.consistency import check_consistency, job_rows
from tests.faults.harness import BotHarness
from tests.faults.matrix import UPLOAD_METHODS, Fault, Outcome

TIMEOUT_SECONDS = 150.0
RESUBMIT_AFTER_SECONDS = 2.0
"""How long a user without any reply waits, once the bot is back, before submitting again."""


@dataclass
class FaultScenario:
    harness: BotHarness
    platform: str
    fault: Fault
    must_trigger: bool = True  # a fault that never triggered proves nothing
    submissions: int = 0
    pid: int = 0
    pid_at_submission: int = 0  # the bot that was running then
    finished: bool = False
    replies: list[Reply] = field(default_factory=list)
    user: TelegramUser | Person | None = None

    async def run(self) -> Outcome:
        if self.fault.script is not None:
            self.fault.script(self.harness)
        tasks = [asyncio.create_task(part) for part in (self._restart_forever(), self._kill_hung_bot())]
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await self._wait_for_start_fault()
                await self._submit()
                while not (self._is_finished() and self._fault_triggered()):
                    if await self._is_unanswered():
                        await self._submit()
                    await asyncio.sleep(0.02)
        except TimeoutError as error:
            message = f"{self.fault.name}: triggered [{self.triggered}], jobs: {job_rows(self.harness)}"
            raise AssertionError(message) from error
        finally:
            self.finished = True
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.harness.stop_all()
        return self._observed_outcome()

    @property
    def triggers_at_start(self) -> bool:
        return self.fault.stage == "starting"

    @property
    def triggered(self) -> str:
        path = self.harness.folder / "triggered"
        return path.read_text(encoding="ascii") if path.exists() else ""

    async def _wait_for_start_fault(self) -> None:
        """Before the first request: a fault of the start has triggered and the bot is being started again."""
        while self.triggers_at_start and not (self.triggered and len(self.harness.exit_tasks) > 1):  # noqa: ASYNC110  (a file cannot be awaited)
            await asyncio.sleep(0.02)

    async def _restart_forever(self) -> None:
        """As systemd or Docker would."""
        environment = {
            ENV_VAR: self.fault.failpoints,
            TRIGGERED_FILE_ENV_VAR: str(self.harness.folder / "triggered"),
        }
        bot_run = self.harness.bot_run(
            self.platform, real_engine=self.fault.real_engine, environment=environment
        )
        while not self.finished:
            self.pid = await self.harness.start(bot_run)
            await self.harness.wait_for_exit(self.pid)

    async def _kill_hung_bot(self) -> None:
        """As the watchdog would."""
        if "=hang" not in self.fault.failpoints:
            return
        while not (self.pid and self.triggered):  # noqa: ASYNC110  (a file cannot be awaited)
            await asyncio.sleep(0.02)
        await self.harness.kill_tree(self.pid)

    async def _submit(self) -> None:
        self.submissions += 1
        prompt = f"wish {self.submissions} of somebody"
        if self.platform == "telegram":
            self.user = self.user or TelegramUser(self.harness.telegram, "Ada")
            assert isinstance(self.user, TelegramUser)
            await self.user.writes(f"/video {prompt} --silent")
            return
        server = self.harness.discord
        if not isinstance(self.user, Person):
            self.user = person(server, "Ana", server.world.guild().channel("general"))
        await server.world.wait_until(
            lambda: server.gateway.connected_sessions and server.world.commands, within=TIMEOUT_SECONDS
        )
        early = self.triggered and self.submissions == 1 and self.must_trigger and not self.triggers_at_start
        assert not early, f"{self.fault.name} triggered before the first request"
        self.pid_at_submission = self.pid
        self.replies.append(await self.user.types("/video", prompt=prompt, genre="none"))

    async def _is_unanswered(self) -> bool:
        """No job, no reply and a restarted bot; a slow bot is waited for."""
        if (
            self.platform == "telegram"
            or job_rows(self.harness)
            or not self.harness.discord.gateway.connected_sessions
        ):
            return False
        if self.pid == self.pid_at_submission:
            return False
        with suppress(TimeoutError):
            await self.harness.discord.world.wait_until(self._has_answer, within=RESUBMIT_AFTER_SECONDS)
        return not (self._has_answer() or job_rows(self.harness))

    def _has_answer(self) -> bool:
        """Whether the bot replied with more than "thinking", in public or in private."""
        interaction = self.replies[-1].interaction
        messages = [interaction.original, *interaction.followups]
        return any(
            message.content or message.components
            for message in messages
            if message is not None and not message.deleted
        )

    def _is_finished(self) -> bool:
        rows = job_rows(self.harness)
        if not rows:
            return self._was_refused()
        unsaid = self.harness.rows("SELECT count(*) FROM unsaid")
        return all(row.state.is_final for row in rows) and unsaid == [(0,)]

    def _was_refused(self) -> bool:
        if "=fail" not in self.fault.failpoints:
            return False
        if isinstance(self.user, TelegramUser):
            return bool(self.user.bot_messages())
        return self._has_answer()

    def _observed_outcome(self) -> Outcome:
        rows, wrong = job_rows(self.harness), check_consistency(self.harness).problems()
        wrong.pop("unexpected_failures", None)  # the fault may be meant to fail the job
        wrong.pop("temporary_files", None)  # the next start deletes them
        assert not wrong, (self.fault.name, self.platform, wrong)
        assert self._fault_triggered(), f"{self.fault.name} never triggered"
        assert not (self.fault.real_engine and len(self.harness.exit_tasks) > 1), (
            f"{self.fault.name} ended the bot process"
        )
        if not rows:
            return Outcome.REJECTED
        assert len(rows) == 1, rows
        state = rows[0].state
        if state is JobState.DELIVERED:
            return Outcome.RESUBMITTED if self.submissions > 1 else Outcome.DELIVERED_ONCE
        return Outcome.ASKED if state is JobState.UNCERTAIN else Outcome.REFUNDED

    def _fault_triggered(self) -> bool:
        """Some faults trigger only after the job has its final state."""
        if not self.must_trigger:
            return True
        if self.fault.failpoints:
            armed = {entry.partition("=")[0] for entry in self.fault.failpoints.split(",")}
            return armed == set(self.triggered.split())
        if self.platform == "discord":
            return any(fault.hits for fault in self.harness.discord.faults)
        pending = self.harness.telegram.faults.pending
        return not all(pending[method] for method in UPLOAD_METHODS)


async def run_scenario(harness: BotHarness, platform: str, fault: Fault) -> Outcome:
    return await FaultScenario(harness, platform, fault).run()
