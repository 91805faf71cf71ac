"""One fault on one platform, played with the real bot: what came of it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

from bot.domain.jobs import State
from generation.failpoint import NOTES, VARIABLE
from tests.fakes.discord_users import Person, Reply, person
from tests.fakes.telegram_users import Someone
from tests.faults.consistency import close, rows_of
from tests.faults.harness import Theatre
from tests.faults.matrix import UPLOADS, Fault, Outcome

PATIENT = 150.0
ASKS_AGAIN = 2.0
"""Seconds after which a person who sees no answer at all, and a bot that is back, tries once more."""


@dataclass
class Play:
    house: Theatre
    platform: str
    fault: Fault
    surely: bool = True  # the fault must have struck: one that never did proves nothing
    asked: int = 0
    pid: int = 0
    asked_of: int = 0  # the bot that was there then
    over: bool = False
    replies: list[Reply] = field(default_factory=list)
    person: Someone | Person | None = None

    async def run(self) -> Outcome:
        if self.fault.script is not None:
            self.fault.script(self.house)
        tasks = [asyncio.create_task(part) for part in (self._keep_alive(), self._free_the_hung())]
        try:
            async with asyncio.timeout(PATIENT):
                await self._started()
                await self._ask()
                while not (self._settled() and self._met()):
                    if await self._unheard():
                        await self._ask()
                    await asyncio.sleep(0.02)
        except TimeoutError as error:
            told = f"{self.fault.name}: struck at [{self.notes}], and the books say {rows_of(self.house)}"
            raise AssertionError(told) from error
        finally:
            self.over = True
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.house.empty()
        return self._outcome()

    @property
    def at_start(self) -> bool:
        return self.fault.stage == "starting"

    @property
    def notes(self) -> str:
        path = self.house.folder / "notes"
        return path.read_text(encoding="ascii") if path.exists() else ""

    async def _started(self) -> None:
        """What strikes a start has struck, and another bot is on its way, before anybody asks."""
        while self.at_start and not (self.notes and len(self.house.born) > 1):  # noqa: ASYNC110  (a file rings no bell)
            await asyncio.sleep(0.02)

    async def _keep_alive(self) -> None:
        """As systemd or Docker would."""
        environment = {VARIABLE: self.fault.traps, NOTES: str(self.house.folder / "notes")}
        life = self.house.life(self.platform, real_engine=self.fault.real, environment=environment)
        while not self.over:
            self.pid = await self.house.start(life)
            await self.house.ended(self.pid)

    async def _free_the_hung(self) -> None:
        """As the watchdog would."""
        if "=hang" not in self.fault.traps:
            return
        while not (self.pid and self.notes):  # noqa: ASYNC110  (a file rings no bell)
            await asyncio.sleep(0.02)
        await self.house.end(self.pid)

    async def _ask(self) -> None:
        self.asked += 1
        prompt = f"wish {self.asked} of somebody"
        if self.platform == "telegram":
            self.person = self.person or Someone(self.house.telegram, "Ada")
            assert isinstance(self.person, Someone)
            await self.person.writes(f"/video {prompt} --silent")
            return
        server = self.house.discord
        if not isinstance(self.person, Person):
            self.person = person(server, "Ana", server.world.guild().channel("general"))
        await server.world.until(lambda: server.gateway.live and server.world.commands, within=PATIENT)
        early = self.notes and self.asked == 1 and self.surely and not self.at_start
        assert not early, f"{self.fault.name} struck before anybody asked"
        self.asked_of = self.pid
        self.replies.append(await self.person.types("/video", prompt=prompt, genre="none"))

    async def _unheard(self) -> bool:
        """No job, no answer, and a bot that is there again: one that is only slow is waited for."""
        if self.platform == "telegram" or rows_of(self.house) or not self.house.discord.gateway.live:
            return False
        if self.pid == self.asked_of:
            return False
        with suppress(TimeoutError):
            await self.house.discord.world.until(self._answered, within=ASKS_AGAIN)
        return not (self._answered() or rows_of(self.house))

    def _answered(self) -> bool:
        """More than "thinking", in public or in private."""
        told = self.replies[-1].interaction
        candidates = [message for message in (told.original, *told.followups) if message is not None]
        return any(one.content or one.components for one in candidates if not one.deleted)

    def _settled(self) -> bool:
        rows = rows_of(self.house)
        if not rows:
            return self._refused()
        unsaid = self.house.rows("SELECT count(*) FROM unsaid")
        return all(row.state.final for row in rows) and unsaid == [(0,)]

    def _refused(self) -> bool:
        if "=fail" not in self.fault.traps:
            return False
        if isinstance(self.person, Someone):
            return bool(self.person.heard())
        return self._answered()

    def _outcome(self) -> Outcome:
        rows, wrong = rows_of(self.house), close(self.house).wrong()
        for name in ("surprises", "leftovers"):  # a failure may be what was asked for; a restart cleans up
            wrong.pop(name, None)
        assert not wrong, (self.fault.name, self.platform, wrong)
        assert self._met(), f"{self.fault.name} was never met"
        assert not (self.fault.real and len(self.house.born) > 1), f"{self.fault.name} ended the bot itself"
        if not rows:
            return Outcome.TOLD
        assert len(rows) == 1, rows
        state = rows[0].state
        if state is State.DELIVERED:
            return Outcome.AGAIN if self.asked > 1 else Outcome.ONCE
        return Outcome.ASKED if state is State.UNCERTAIN else Outcome.REFUNDED

    def _met(self) -> bool:
        """Some strike only after the books are in order."""
        if not self.surely:
            return True
        if self.fault.traps:
            places = {trap.partition("=")[0] for trap in self.fault.traps.split(",")}
            return places == set(self.notes.split())
        if self.platform == "discord":
            return any(fault.hit for fault in self.house.discord.faults)
        waiting = self.house.telegram.script.waiting
        return not all(waiting[method] for method in UPLOADS)


async def play(house: Theatre, platform: str, fault: Fault) -> Outcome:
    return await Play(house, platform, fault).run()
