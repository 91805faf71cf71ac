"""After painting: what becomes of a clip that shows what must not be shown to everyone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path

import structlog

from bot.domain.jobs import Job
from bot.store import inspections
from bot.store.store import Store
from generation.media.nsfw import Sighting
from generation.media.nsfw_process import Blind

log = structlog.get_logger(__name__)

Look = Callable[[Path], Awaitable[Sighting]]
"""What a file shows; raises Blind."""


class Finding(StrEnum):
    CLEAR = "clear"  # sent as it is
    SPOILER = "spoiler"  # sent veiled: whoever wants to see it presses
    HOLD = "hold"  # an admin looks first
    REFUSE = "refuse"  # never sent, and refunded


class Inspector:
    """Looks once at each clip; `then` is what follows a sight of at least `certainty`."""

    def __init__(self, *, store: Store, look: Look, then: Finding, certainty: float) -> None:
        self._store = store
        self._look = look
        self._then = then
        self._certainty = certainty

    async def inspect(self, job: Job) -> Finding:
        """What was found is remembered: a try after a restart, or a released clip, needs no second look."""
        known = await self._store.look(lambda c, _: inspections.found(c, job.id))
        if known is not None:
            return Finding(known)
        assert job.clip is not None, f"job {job.id} is rendered, so it has a clip"
        if job.reply_to.facts.get("adult"):
            return Finding.CLEAR
        found, sight = await self._judged(job.clip.path)
        await self._store.act(
            lambda c, now: inspections.write_down(
                c, job.id, found=found, what=sight.what, certainty=sight.certainty, now=now
            )
        )
        if found is not Finding.CLEAR:
            log.warning("seen after painting", job=job.id, what=sight.what, found=found.value)
        return found

    async def _judged(self, path: Path) -> tuple[Finding, Sighting]:
        try:
            sight = await self._look(path)
        except Blind as error:  # what could not be looked at is shown to nobody as harmless
            log.error("a clip could not be looked at", reason=str(error))  # noqa: TRY400  (the reason is all there is)
            veiled = self._then is Finding.SPOILER
            return (Finding.SPOILER if veiled else Finding.HOLD), Sighting("unseen")
        return (self._then if sight.certainty >= self._certainty else Finding.CLEAR), sight
