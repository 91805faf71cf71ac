"""A music maker as the operator configures it: one table of config/music.toml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from generation.request import closest_match


class MusicPresetBroken(Exception):
    """An invalid entry of the music makers' tables; `place` is its path, like "ace-step.licence"."""

    def __init__(self, place: str, problem: str, near: str | None = None) -> None:
        super().__init__(f"{place}: {problem}" + (f", did you mean {near!r}?" if near else ""))
        self.place = place
        self.problem = problem
        self.near = near


@dataclass(frozen=True, slots=True, kw_only=True)
class MusicPreset:
    name: str
    maker: str  # the file or folder of generation/music/ that implements it
    title: str
    source: str = ""  # hub id or a local folder; empty when it needs no weights
    revision: str = ""
    licence: str = ""
    commercial_ok: bool = True
    melody: bool = False  # can follow a given melody
    options: dict[str, Any] = field(default_factory=dict)  # options of the maker

    def engine_options(self, genres: Mapping[str, Any]) -> dict[str, Any]:
        """Plain options that `registry.load` gets in the engine's child process."""
        own = {"maker": self.maker, "name": self.name, "source": self.source, "revision": self.revision}
        return {**own, **self.options, "genres": dict(genres)}


def read_music_presets(data: Mapping[str, Any]) -> dict[str, MusicPreset]:
    """Convert and check the parsed file; raises MusicPresetBroken for the first invalid entry."""
    return {name: _read(name, table) for name, table in data.items()}


def allowed_presets(makers: Mapping[str, MusicPreset], *, commercial: bool) -> tuple[str, ...]:
    """Names of the makers whose licence allows the operator's use."""
    return tuple(name for name, one in makers.items() if one.commercial_ok or not commercial)


def _read(name: str, table: Any) -> MusicPreset:
    if not isinstance(table, Mapping):
        raise MusicPresetBroken(name, "is not a table")
    kinds = {f.name: f.type for f in fields(MusicPreset) if f.name != "name"}
    for key, value in table.items():
        if key not in kinds:
            raise MusicPresetBroken(
                f"{name}.{key}", "is not a key of a music maker", closest_match(key, tuple(kinds))
            )
        if not isinstance(value, _TYPES[str(kinds[key])]):
            raise MusicPresetBroken(f"{name}.{key}", f"must be {_WORDS[str(kinds[key])]}")
    for key in ("maker", "title"):
        if key not in table:
            raise MusicPresetBroken(f"{name}.{key}", "is missing")
    return MusicPreset(name=name, **table)


_TYPES: dict[str, Any] = {"str": str, "bool": bool, "dict[str, Any]": Mapping}
_WORDS = {"str": "text", "bool": "true or false", "dict[str, Any]": "a table"}
