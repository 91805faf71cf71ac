"""Looks at every part each second, writes what it saw, and tells systemd while all is well."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from bot.maintenance.heartbeat import FILE, Life, Look, Part, Pulse
from bot.maintenance.systemd import Notifier

log = structlog.get_logger(__name__)
EVERY = 1.0
HOPELESS = {Life.STUCK, Life.DEAD}
"""What a restart may mend; a platform out of reach it does not."""


class Monitor:
    """`looks` are the parts by name; whoever has one adds it."""

    def __init__(self, folder: Path, *, notifier: Notifier | None = None, every: float = EVERY) -> None:
        self.looks: dict[str, Callable[[], Look]] = {}
        self.on_beat: list[Callable[[Pulse, float], None]] = []
        """Told of every beat, and by how many seconds the event loop was late for it."""
        self._folder = folder
        self._notifier = notifier or Notifier(None)
        self._every = every
        self._parts: dict[str, Part] = {}
        self._started_at = time.time()
        self._stopping = False
        self._unwritable = False

    def stopping(self) -> None:
        self._stopping = True
        self._notifier.say("STOPPING=1")

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        await self._beat(0.0)
        self._notifier.say("READY=1")
        while True:
            due = loop.time() + self._every
            await asyncio.sleep(self._every)
            await self._beat(max(0.0, loop.time() - due))

    def close(self) -> None:
        """Nothing runs here any more."""
        (self._folder / FILE).unlink(missing_ok=True)

    async def _beat(self, lag: float) -> None:
        self._parts = {name: self._seen(name, look()) for name, look in self.looks.items()}
        pulse = Pulse(
            pid=os.getpid(),
            at=time.time(),
            steady=time.monotonic(),
            started_at=self._started_at,
            stopping=self._stopping,
            parts=self._parts,
        )
        await self._write(pulse)
        if not any(part.life in HOPELESS for part in self._parts.values()):
            self._notifier.say("WATCHDOG=1")
        for tell in self.on_beat:
            tell(pulse, lag)

    def _seen(self, name: str, look: Look) -> Part:
        before = self._parts.get(name)
        if before is not None and before.life is look.life:
            return Part(life=look.life, since=before.since, why=look.why)
        if before is not None or look.life is not Life.WELL:
            level = log.info if look.life is Life.WELL else log.warning
            level("health", part=name, life=look.life.value, why=look.why)
        return Part(life=look.life, since=time.time(), why=look.why)

    async def _write(self, pulse: Pulse) -> None:
        """A disk that takes nothing is seen from outside as silence; here it is said once."""
        try:
            await asyncio.to_thread(pulse.write, self._folder)
        except OSError as error:
            if not self._unwritable:
                log.warning("the pulse cannot be written", reason=error.strerror)
            self._unwritable = True
        else:
            self._unwritable = False
