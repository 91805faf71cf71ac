"""Preferences complete a wish and never replace what the user asked for."""

from __future__ import annotations

from typing import Any

import pytest

from bot.frontends.common.preferences import apply_preferences, merge_preferences, preferred_language
from generation.request import MusicWish, Wish

CHOSEN = {"genre": "jazz", "seconds": "5", "aspect": "9:16", "model": "able", "ping": True}


@pytest.mark.parametrize(
    ("wish", "completed"),
    [
        (
            Wish(prompt="fox"),
            Wish(prompt="fox", seconds=5.0, aspect="9:16", model="able", music=MusicWish(genre="jazz")),
        ),
        (
            Wish(prompt="fox", seconds=2.0, aspect="1:1", model="tiny", music=MusicWish(genre="none")),
            Wish(prompt="fox", seconds=2.0, aspect="1:1", model="tiny", music=MusicWish(genre="none")),
        ),
        (
            Wish(prompt="fox", width=64, height=64),
            Wish(prompt="fox", width=64, height=64, seconds=5.0, model="able", music=MusicWish(genre="jazz")),
        ),
    ],
    ids=["everything is open", "everything was asked for", "a size leaves no shape open"],
)
def test_only_what_is_open_is_filled_in(wish: Wish, completed: Wish) -> None:
    assert apply_preferences(wish, CHOSEN) == completed
    assert apply_preferences(wish, {}) == wish


@pytest.mark.parametrize(
    ("own", "shared", "merged"),
    [
        ({"genre": "jazz"}, {"genre": "pop", "model": "able"}, {"genre": "jazz", "model": "able"}),
        ({"genre": None}, {"genre": "pop"}, {"genre": "pop"}),
        ({}, {}, {}),
    ],
)
def test_own_choices_come_before_those_of_the_community(
    own: dict[str, Any], shared: dict[str, Any], merged: dict[str, Any]
) -> None:
    assert merge_preferences(own, shared) == merged


@pytest.mark.parametrize(
    ("own", "shared", "client", "language"),
    [
        ("ja", "fr", "de-AT", "ja"),
        (None, "fr", "de-AT", "fr"),
        (None, None, "de-AT", "de"),
        (None, None, "xx", "es"),
        (None, None, None, "es"),
    ],
)
def test_the_language_is_chosen_in_order(
    own: str | None, shared: str | None, client: str | None, language: str
) -> None:
    assert preferred_language(own, shared, client, default="es") == language
