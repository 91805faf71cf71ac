"""Fixtures with the shipped genres, read once."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from generation.music.common.music_choice import Genre, read_genres
from tests.paths import CONFIG


def shipped_genres() -> dict[str, Any]:
    return tomllib.loads((CONFIG / "genres.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def genre_tables() -> dict[str, Any]:
    return shipped_genres()


@pytest.fixture(scope="session")
def genres(genre_tables: dict[str, Any]) -> dict[str, Genre]:
    return read_genres(genre_tables)
