"""One fault on one platform, played with the real bot: what came of it."""

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
"""Seconds after which a person who sees no answer at all, and a bot that is back, tries once more."""


@dataclass
class FaultScenario:
    harness: BotHarness
    platform: str
    fault: Fault
    must_trigger: bool = True  # the fault must have struck: one that never did proves nothing
    submissions: int = 0
    pid: int = 0
    pid_at_submission: int = 0  # the bot that was there then
    finished: bool = False
    replies: list[Reply] = field(default_factory=list)
    person: TelegramUser | Person | None = None

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
            told = (
                f"{self.fault.name}: struck at [{self.triggered}], and the books say {job_rows(self.harness)}"
            )
            raise AssertionError(told) from error
        finally:
            self.finished = True
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.harness.stop_all()
        return self._observed_outcome()

    @property
    def strikes_at_start(self) -> bool:
        return self.fault.stage == "starting"

    @property
    def triggered(self) -> str:
        path = self.harness.folder / "notes"
        return path.read_text(encoding="ascii") if path.exists() else ""

    async def _wait_for_start_fault(self) -> None:
        """What strikes a start has struck, and another bot is on its way, before anybody asks."""
        while self.strikes_at_start and not (self.triggered and len(self.harness.exit_tasks) > 1):  # noqa: ASYNC110  (a file rings no bell)
            await asyncio.sleep(0.02)

    async def _restart_forever(self) -> None:
        """As systemd or Docker would."""
        environment = {
            ENV_VAR: self.fault.failpoints,
            TRIGGERED_FILE_ENV_VAR: str(self.harness.folder / "notes"),
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
        while not (self.pid and self.triggered):  # noqa: ASYNC110  (a file rings no bell)
            await asyncio.sleep(0.02)
        await self.harness.kill_tree(self.pid)

    async def _submit(self) -> None:
        self.submissions += 1
        prompt = f"wish {self.submissions} of somebody"
        if self.platform == "telegram":
            self.person = self.person or TelegramUser(self.harness.telegram, "Ada")
            assert isinstance(self.person, TelegramUser)
            await self.person.writes(f"/video {prompt} --silent")
            return
        server = self.harness.discord
        if not isinstance(self.person, Person):
            self.person = person(server, "Ana", server.world.guild().channel("general"))
        await server.world.wait_until(
            lambda: server.gateway.connected_sessions and server.world.commands, within=TIMEOUT_SECONDS
        )
        early = self.triggered and self.submissions == 1 and self.must_trigger and not self.strikes_at_start
        assert not early, f"{self.fault.name} struck before anybody asked"
        self.pid_at_submission = self.pid
        self.replies.append(await self.person.types("/video", prompt=prompt, genre="none"))

    async def _is_unanswered(self) -> bool:
        """No job, no answer, and a bot that is there again: one that is only slow is waited for."""
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
        """More than "thinking", in public or in private."""
        told = self.replies[-1].interaction
        candidates = [message for message in (told.original, *told.followups) if message is not None]
        return any(one.content or one.components for one in candidates if not one.deleted)

    def _is_finished(self) -> bool:
        rows = job_rows(self.harness)
        if not rows:
            return self._was_refused()
        unsaid = self.harness.rows("SELECT count(*) FROM unsaid")
        return all(row.state.is_final for row in rows) and unsaid == [(0,)]

    def _was_refused(self) -> bool:
        if "=fail" not in self.fault.failpoints:
            return False
        if isinstance(self.person, TelegramUser):
            return bool(self.person.bot_messages())
        return self._has_answer()

    def _observed_outcome(self) -> Outcome:
        rows, wrong = job_rows(self.harness), check_consistency(self.harness).problems()
        for name in (
            "unexpected_failures",
            "temporary_files",
        ):  # failing may be the point; a restart cleans up
            wrong.pop(name, None)
        assert not wrong, (self.fault.name, self.platform, wrong)
        assert self._fault_triggered(), f"{self.fault.name} was never met"
        assert not (self.fault.real_engine and len(self.harness.exit_tasks) > 1), (
            f"{self.fault.name} ended the bot itself"
        )
        if not rows:
            return Outcome.REJECTED
        assert len(rows) == 1, rows
        state = rows[0].state
        if state is JobState.DELIVERED:
            return Outcome.RESUBMITTED if self.submissions > 1 else Outcome.DELIVERED_ONCE
        return Outcome.ASKED if state is JobState.UNCERTAIN else Outcome.REFUNDED

    def _fault_triggered(self) -> bool:
        """Some strike only after the books are in order."""
        if not self.must_trigger:
            return True
        if self.fault.failpoints:
            places = {trap.partition("=")[0] for trap in self.fault.failpoints.split(",")}
            return places == set(self.triggered.split())
        if self.platform == "discord":
            return any(fault.hits for fault in self.harness.discord.faults)
        waiting = self.harness.telegram.faults.pending
        return not all(waiting[method] for method in UPLOAD_METHODS)


async def run_scenario(harness: BotHarness, platform: str, fault: Fault) -> Outcome:
    return await FaultScenario(harness, platform, fault).run()
