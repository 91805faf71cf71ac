"""An engine in a process of its own: it may crash, hang or be killed, and the bot goes on."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from generation.engines.local.process import Life, Patience
from generation.engines.local.protocol import Setup
from generation.errors import EngineDied, GenerationError

if TYPE_CHECKING:
    from generation.clip import Clip
    from generation.order import Order
    from generation.progress import OnProgress

__all__ = ["ChildEngine", "Patience", "Setup"]

log = logging.getLogger(__name__)
COMMAND = (sys.executable, "-m", "generation")


class ChildEngine:
    """Starts the child when it is needed, and again, with growing pauses, when it has died."""

    def __init__(
        self,
        setup: Setup | None = None,
        *,
        slots: int = 2,
        patience: Patience | None = None,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self.setup = setup or Setup()
        self.patience = patience or Patience()
        self._slots = slots
        self._command = tuple(command)
        self._life: Life | None = None
        self._starting = asyncio.Lock()
        self._deaths = 0  # since the last finished clip
        self.starts = 0
        self._closed = False

    @property
    def slots(self) -> int:
        return self._slots

    @property
    def pid(self) -> int | None:
        return self._life.pid if self._life and self._life.alive else None

    @property
    def silent_for(self) -> float | None:
        """Seconds since the child's last sign of life; None while there is no child at work."""
        return self._life.silent_for if self._life else None

    async def open(self) -> None:
        await self._living()

    async def render(self, order: Order, on_progress: OnProgress) -> Clip:
        life = await self._living()
        try:
            clip = await life.render(order, on_progress)
        except (GenerationError, asyncio.CancelledError):
            if not life.alive:
                _sweep(order)
            raise
        self._deaths = 0
        return clip

    async def close(self) -> None:
        self._closed = True
        if self._life is not None:
            await self._life.close()

    async def _living(self) -> Life:
        async with self._starting:
            if self._life is not None and self._life.tired:
                await self._life.idle()
                await self._life.close()
            if self._life is None or not self._life.alive:
                await self._pause()
                if self._closed:
                    raise EngineDied("the engine is closed", guilty=False)
                await self._begin()
            assert self._life is not None
            return self._life

    async def _pause(self) -> None:
        """None at first nor after one death; then longer with each until a clip comes between."""
        if self._life is not None:
            await self._life.gone()
            if self._life.tired:
                return
            pauses = self.patience.pauses
            await asyncio.sleep(pauses[min(self._deaths, len(pauses) - 1)])
            self._deaths += 1

    async def _begin(self) -> None:
        self._life = Life(self._command, self.setup, self.patience)
        await self._life.begin()
        self.starts += 1
        log.info("engine started as process %s", self._life.pid)


def _sweep(order: Order) -> None:
    """What a killed child was writing has a temporary name."""
    with suppress(OSError):
        for part in order.folder.glob("*.part"):
            part.unlink()
