"""After painting: what becomes of a clip that shows what must not be shown to everyone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path

import structlog

from bot.domain.jobs import Job
from bot.store.store import Store
from generation.media.nsfw import Detection
from generation.media.nsfw_process import InspectionFailed

log = structlog.get_logger(__name__)

ClassifyFile = Callable[[Path], Awaitable[Detection]]
"""What a file shows; raises Blind."""


class InspectionVerdict(StrEnum):
    CLEAR = "clear"  # sent as it is
    SPOILER = "spoiler"  # sent veiled: whoever wants to see it presses
    HOLD = "hold"  # an admin looks first
    REFUSE = "refuse"  # never sent, and refunded


class ClipInspector:
    """Looks once at each clip; `then` is what follows a sight of at least `certainty`."""

    def __init__(
        self,
        *,
        store: Store,
        classify: ClassifyFile,
        verdict_if_seen: InspectionVerdict,
        min_certainty: float,
    ) -> None:
        self._store = store
        self._classify = classify
        self._verdict_if_seen = verdict_if_seen
        self._min_certainty = min_certainty

    async def inspect(self, job: Job) -> InspectionVerdict:
        """What was found is remembered: a try after a restart, or a released clip, needs no second look."""
        saved = await self._store.verdict_of(job.id)
        if saved is not None:
            return InspectionVerdict(saved)
        assert job.clip is not None, f"job {job.id} is rendered, so it has a clip"
        if job.reply_to.facts.get("adult"):
            return InspectionVerdict.CLEAR
        verdict, sighting = await self._classify_clip(job.clip.path)
        await self._store.save_inspection(
            job.id, verdict=verdict, label=sighting.what, certainty=sighting.certainty
        )
        if verdict is not InspectionVerdict.CLEAR:
            log.warning("seen after painting", job=job.id, what=sighting.what, found=verdict.value)
        return verdict

    async def _classify_clip(self, path: Path) -> tuple[InspectionVerdict, Detection]:
        try:
            sighting = await self._classify(path)
        except InspectionFailed as error:  # what could not be looked at is shown to nobody as harmless
            log.error("a clip could not be looked at", reason=str(error))  # noqa: TRY400  (the reason is all there is)
            as_spoiler = self._verdict_if_seen is InspectionVerdict.SPOILER
            return (InspectionVerdict.SPOILER if as_spoiler else InspectionVerdict.HOLD), Detection("unseen")
        return (
            self._verdict_if_seen if sighting.certainty >= self._min_certainty else InspectionVerdict.CLEAR
        ), sighting
