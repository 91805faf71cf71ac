"""Inspect finished clips, and decide how a clip with sensitive content is delivered."""

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
"""Detects what a file shows. Raises InspectionFailed."""


class InspectionVerdict(StrEnum):
    CLEAR = "clear"  # sent unchanged
    SPOILER = "spoiler"  # sent as a spoiler
    HOLD = "hold"  # an admin reviews it first
    REFUSE = "refuse"  # never sent, and refunded


class ClipInspector:
    """Inspects each clip once.

    `verdict_if_seen` is the verdict on a detection of at least `min_certainty`.
    """

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
        """The verdict is saved: a clip is not inspected again after a restart or a release."""
        saved = await self._store.verdict_of(job.id)
        if saved is not None:
            return InspectionVerdict(saved)
        assert job.clip is not None, f"job {job.id} is rendered, so it has a clip"
        if job.reply_to.facts.get("adult"):
            return InspectionVerdict.CLEAR
        verdict, detection = await self._classify_clip(job.clip.path)
        await self._store.save_inspection(
            job.id, verdict=verdict, label=detection.label, certainty=detection.certainty
        )
        if verdict is not InspectionVerdict.CLEAR:
            log.warning("sensitive clip", job=job.id, what=detection.label, found=verdict.value)
        return verdict

    async def _classify_clip(self, path: Path) -> tuple[InspectionVerdict, Detection]:
        try:
            detection = await self._classify(path)
        except InspectionFailed as error:  # a clip that was not inspected is never sent as harmless
            log.error("clip not inspected", reason=str(error))  # noqa: TRY400  (the traceback adds nothing)
            as_spoiler = self._verdict_if_seen is InspectionVerdict.SPOILER
            return (InspectionVerdict.SPOILER if as_spoiler else InspectionVerdict.HOLD), Detection("unseen")
        return (
            self._verdict_if_seen if detection.certainty >= self._min_certainty else InspectionVerdict.CLEAR
        ), detection
