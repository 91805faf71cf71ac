"""What users and communities choose in advance, and how it completes a wish."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bot.i18n import messages
from bot.studio.studio import Studio
from generation.music.common.music_choice import NATIVE, SILENT
from generation.request import Wish, check_choice

Preferences = Mapping[str, Any]


def merge_preferences(own: Preferences, shared: Preferences) -> dict[str, Any]:
    """Return the user's own choices, completed by those of their server or group."""
    return {name: own.get(name) or shared.get(name) for name in {**shared, **own}}


def apply_preferences(wish: Wish, chosen: Preferences) -> Wish:
    """Fill in what the wish leaves open; what the user asked for stays."""
    music = wish.music
    if music.genre is None and chosen.get("genre"):
        music = replace(music, genre=str(chosen["genre"]))
    seconds = wish.seconds
    if seconds is None and chosen.get("seconds"):
        seconds = float(chosen["seconds"])
    aspect = wish.aspect
    if aspect is None and wish.width is None and chosen.get("aspect"):
        aspect = str(chosen["aspect"])
    model = wish.model or str(chosen.get("model") or "") or None
    return replace(wish, music=music, seconds=seconds, aspect=aspect, model=model)


def check_preferences(studio: Studio, *, genre: str | None, model: str | None) -> None:
    """Raise UnknownChoice for a genre or model that a wish could not name either."""
    studio.preset(model)
    if genre is not None:
        check_choice("genre", genre, (*studio.genres, SILENT, NATIVE))


def preferred_language(
    own: str | None, shared: str | None, client: str | None, *, default: str = "en"
) -> str:
    """Return the language to answer in: the user's choice, the community's, or that of the user's client."""
    return messages.nearest_language(own or shared or client or "", default)
