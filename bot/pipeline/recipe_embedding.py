"""Embed the recipe of a clip in its file: always in private downloads, elsewhere if the user wants it."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from bot.domain.jobs import Job
from bot.store.store import Store
from generation.clip import Clip
from generation.errors import GenerationError
from generation.media.ffmpeg import Ffmpeg
from generation.media.provenance import with_recipe
from generation.media.signing_identity import Identity

RECIPE_SETTING = "recipe"
ENABLED_VALUES = (True, "yes")
"""The values of the setting that mean yes. If it is not set, private chats get the recipe."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RecipeEmbedder:
    store: Store
    ffmpeg: Ffmpeg
    identity: Identity
    private_platforms: frozenset[str] = frozenset()
    """Platforms where only the requester sees what is delivered."""

    async def embed(self, job: Job, clip: Clip, limit: int) -> Clip:
        """Return a copy with the recipe if it is wanted and fits the limit, otherwise the clip itself."""
        if not await self._is_wanted(job):
            return clip
        target = clip.path.with_name(f"{clip.path.stem}.recipe{clip.path.suffix}")
        try:
            embedded = await with_recipe(
                clip, job.request, target, ffmpeg=self.ffmpeg, identity=self.identity
            )
        except GenerationError as error:  # the clip is still useful without its recipe
            log.warning("sent without its recipe", job=job.id, reason=str(error))
            return clip
        return embedded if not limit or embedded.size <= limit else clip

    async def _is_wanted(self, job: Job) -> bool:
        preference = job.reply_to.facts.get(RECIPE_SETTING)
        if preference is None:
            preference = (await self.store.settings(job.requester.key)).get(RECIPE_SETTING)
        own_download = job.reply_to.private or job.reply_to.platform in self.private_platforms
        return own_download if preference is None else preference in ENABLED_VALUES
