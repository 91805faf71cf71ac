"""A clip that tells how to make it again: on its author's own download, elsewhere if its author likes."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from bot.domain.jobs import Job
from bot.store.store import Store
from generation.clip import Clip
from generation.errors import GenerationError
from generation.media.ffmpeg import Ffmpeg
from generation.media.identity import Identity
from generation.media.provenance import with_recipe

SETTING = "recipe"
YES = (True, "yes")
"""A switch or a word, as each chat keeps it. Where it is not set the place decides."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Recipes:
    store: Store
    ffmpeg: Ffmpeg
    identity: Identity

    async def put_in(self, job: Job, clip: Clip, limit: int) -> Clip:
        """A copy with the recipe in it where that is wanted and within the limit, else the clip itself."""
        if not await self._wanted(job):
            return clip
        target = clip.path.with_name(f"{clip.path.stem}.told{clip.path.suffix}")
        try:
            told = await with_recipe(clip, job.request, target, ffmpeg=self.ffmpeg, identity=self.identity)
        except GenerationError as error:  # the clip is what counts
            log.warning("sent without its recipe", job=job.id, reason=str(error))
            return clip
        return told if not limit or told.size <= limit else clip

    async def _wanted(self, job: Job) -> bool:
        asked = job.reply_to.facts.get(SETTING)
        if asked is None:
            asked = (await self.store.settings(job.requester.key)).get(SETTING)
        own_download = job.reply_to.platform == "cli" or job.reply_to.private
        return own_download if asked is None else asked in YES
