"""Check every part each second, write the heartbeat file, and notify systemd while all parts work."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from bot.maintenance.heartbeat import HEARTBEAT_FILE, HealthCheck, HealthState, Heartbeat, PartHealth
from bot.maintenance.systemd_notify import SystemdNotifier

log = structlog.get_logger(__name__)
INTERVAL = 1.0
RESTART_STATES = {HealthState.STUCK, HealthState.DEAD}
"""The states in which a restart may help; it does not help with an unreachable platform."""


class Monitor:
    """`checks` has a health check for each part by name; every part adds its own."""

    def __init__(
        self, folder: Path, *, notifier: SystemdNotifier | None = None, interval: float = INTERVAL
    ) -> None:
        self.checks: dict[str, Callable[[], HealthCheck]] = {}
        self.on_heartbeat: list[Callable[[Heartbeat, float], None]] = []
        """Called with every heartbeat, and with how many seconds the event loop was late for it."""
        self._folder = folder
        self._notifier = notifier or SystemdNotifier(None)
        self._interval = interval
        self._parts: dict[str, PartHealth] = {}
        self._started_at = time.time()
        self._stopping = False
        self._unwritable = False

    def begin_shutdown(self) -> None:
        self._stopping = True
        self._notifier.notify("STOPPING=1")

    async def run(self) -> None:
        """Run until cancelled."""
        loop = asyncio.get_running_loop()
        await self._write_heartbeat(0.0)
        self._notifier.notify("READY=1")
        while True:
            due = loop.time() + self._interval
            await asyncio.sleep(self._interval)
            await self._write_heartbeat(max(0.0, loop.time() - due))

    def close(self) -> None:
        """Remove the heartbeat file, since the process ends."""
        (self._folder / HEARTBEAT_FILE).unlink(missing_ok=True)

    async def _write_heartbeat(self, lag: float) -> None:
        self._parts = {name: self._updated_part(name, check()) for name, check in self.checks.items()}
        heartbeat = Heartbeat(
            pid=os.getpid(),
            at=time.time(),
            steady=time.monotonic(),
            started_at=self._started_at,
            stopping=self._stopping,
            parts=self._parts,
        )
        await self._write(heartbeat)
        if not any(part.life in RESTART_STATES for part in self._parts.values()):
            self._notifier.notify("WATCHDOG=1")
        for listener in self.on_heartbeat:
            listener(heartbeat, lag)

    def _updated_part(self, name: str, result: HealthCheck) -> PartHealth:
        before = self._parts.get(name)
        if before is not None and before.life is result.state:
            return PartHealth(life=result.state, since=before.since, why=result.reason)
        if before is not None or result.state is not HealthState.HEALTHY:
            log_change = log.info if result.state is HealthState.HEALTHY else log.warning
            log_change("health", part=name, life=result.state.value, why=result.reason)
        return PartHealth(life=result.state, since=time.time(), why=result.reason)

    async def _write(self, heartbeat: Heartbeat) -> None:
        """Log a failing disk once; other processes see only that the heartbeat file gets old."""
        try:
            await asyncio.to_thread(heartbeat.write, self._folder)
        except OSError as error:
            if not self._unwritable:
                log.warning("heartbeat not written", reason=error.strerror)
            self._unwritable = True
        else:
            self._unwritable = False
