"""What can be requested: picture models, genres and music makers, and what a request costs."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from bot.domain.jobs import Job
from bot.domain.quota import price
from bot.studio import derivatives
from generation.errors import UnknownChoice
from generation.models.common.preset import Preset
from generation.music.common.genre_tables import Genre
from generation.music.common.music_choice import choose_music
from generation.request import (
    SEED_LIMIT,
    Adjustment,
    Kind,
    Music,
    MusicWish,
    Request,
    Wish,
    closest_match,
)

IMAGE_AND_MUSIC_SHARE = 1 / 4
"""The part of a preset's price that an image, or new music for a clip, costs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """The presets and music of this installation, and the operator's default of each."""

    presets: Mapping[str, Preset]
    genres: Mapping[str, Genre]
    default_model: str
    default_maker: str
    makers: tuple[str, ...] = ()
    melody_makers: tuple[str, ...] = ()

    def preset(self, name: str | None) -> Preset:
        """The preset of this name, or the default; raises UnknownChoice."""
        wanted = name or self.default_model
        found = self.presets.get(wanted)
        if found is None:
            choices = tuple(sorted(self.presets))
            raise UnknownChoice("model", wanted, closest_match(wanted, choices), choices)
        return found

    def choose_preset(self, wish: Wish, admins_default: str | None) -> tuple[Preset, tuple[Adjustment, ...]]:
        """The preset for this wish.

        If the wish names no model, this is the default, or else the first that can make a clip of this kind.
        """
        preferred = self.preset(wish.model or admins_default)
        if wish.model or wish.kind in {*preferred.limits.kinds, Kind.MUSIC}:
            return preferred, ()
        for other in self.presets.values():
            if wish.kind in other.limits.kinds:
                return other, (Adjustment("model", preferred.name, other.name),)
        return preferred, ()

    def choose_music(self, wish: MusicWish, prompt: str, seconds: float) -> tuple[Music, tuple[str, ...]]:
        """The music, and which of its words were chosen from the prompt."""
        return choose_music(
            wish,
            prompt,
            seconds=seconds,
            genres=self.genres,
            maker=self.default_maker,
            makers=self.makers,
            melody_makers=self.melody_makers,
            seed=random_seed() if wish.seed is None else wish.seed,
        )

    def cost(self, request: Request) -> int:
        """The price in credits."""
        preset = self.presets[request.model]
        limits = preset.limits
        partial = request.kind in {Kind.MUSIC, Kind.IMAGE}
        return price(
            base=preset.cost * IMAGE_AND_MUSIC_SHARE if partial else preset.cost,
            seconds=limits.seconds if request.kind is Kind.IMAGE else request.seconds,
            default_seconds=limits.seconds,
            pixels=request.width * request.height,
            default_pixels=limits.width * limits.height,
        )

    def animation_model(self, picture_model: str) -> str | None:
        """The model that animates an image of `picture_model`; None if no model can."""
        return derivatives.animation_model(picture_model, self.presets, self.default_model)

    def available_derivatives(self, job: Job) -> tuple[str, ...]:
        """The derivative verbs that would work on this clip: only these get a button."""
        return derivatives.available_derivatives(job, self.presets, self.default_model)


def random_seed() -> int:
    return secrets.randbelow(SEED_LIMIT + 1)
