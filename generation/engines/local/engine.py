"""An engine in a child process: it may crash, hang or be killed without harming the bot."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from generation.engines.local.child_process import EngineProcess, Timeouts
from generation.engines.local.protocol import EngineSetup
from generation.errors import EngineDied, GenerationError

if TYPE_CHECKING:
    from generation.clip import Clip
    from generation.order import Order
    from generation.progress import OnProgress

log = logging.getLogger(__name__)
COMMAND = (sys.executable, "-m", "generation")


class LocalEngine:
    """Starts the child process when needed and restarts it, with growing delays, when it has died."""

    def __init__(
        self,
        setup: EngineSetup | None = None,
        *,
        slots: int = 2,
        timeouts: Timeouts | None = None,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self.setup = setup or EngineSetup()
        self.timeouts = timeouts or Timeouts()
        self._slots = slots
        self._command = tuple(command)
        self._process: EngineProcess | None = None
        self._starting = asyncio.Lock()
        self._deaths_in_a_row = 0  # since the last finished clip
        self.starts = 0
        self._closed = False

    @property
    def slots(self) -> int:
        return self._slots

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.alive else None

    @property
    def silent_for(self) -> float | None:
        """Seconds since the child's last message, or None while no child is running."""
        return self._process.silent_for if self._process else None

    async def open(self) -> None:
        await self._running_process()

    async def render(self, order: Order, on_progress: OnProgress) -> Clip:
        process = await self._running_process()
        try:
            clip = await process.render(order, on_progress)
        except (GenerationError, asyncio.CancelledError):
            if not process.alive:
                _delete_partial_files(order)
            raise
        self._deaths_in_a_row = 0
        return clip

    async def close(self) -> None:
        self._closed = True
        if self._process is not None:
            await self._process.close()

    async def _running_process(self) -> EngineProcess:
        async with self._starting:
            if self._process is not None and self._process.needs_restart:
                await self._process.wait_until_idle()
                await self._process.close()
            if self._process is None or not self._process.alive:
                await self._wait_before_restart()
                if self._closed:
                    raise EngineDied("the engine is closed", guilty=False)
                await self._start_process()
            assert self._process is not None
            return self._process

    async def _wait_before_restart(self) -> None:
        """No delay before the first start or after one death; then longer after each death without a clip."""
        if self._process is not None:
            await self._process.wait_until_exited()
            if self._process.needs_restart:
                return
            delays = self.timeouts.restart_delays
            await asyncio.sleep(delays[min(self._deaths_in_a_row, len(delays) - 1)])
            self._deaths_in_a_row += 1

    async def _start_process(self) -> None:
        self._process = EngineProcess(self._command, self.setup, self.timeouts)
        await self._process.start()
        self.starts += 1
        log.info("engine started as process %s", self._process.pid)


def _delete_partial_files(order: Order) -> None:
    """Delete the files that a killed child was writing; they have temporary names."""
    with suppress(OSError):
        for part in order.folder.glob("*.part"):
            part.unlink()
