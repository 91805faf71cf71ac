"""A music maker as an operator names it: one table of config/music.toml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from generation.request import closest_match


class MusicPresetBroken(Exception):
    """A wrong entry of the music makers' tables: `place` is its path, like "ace-step.licence"."""

    def __init__(self, place: str, problem: str, near: str | None = None) -> None:
        super().__init__(f"{place}: {problem}" + (f", did you mean {near!r}?" if near else ""))
        self.place = place
        self.problem = problem
        self.near = near


@dataclass(frozen=True, slots=True, kw_only=True)
class MusicPreset:
    name: str
    maker: str  # the file of generation/music/ that plays it
    title: str
    source: str = ""  # hub id or a local folder; empty when it needs no weights
    revision: str = ""
    licence: str = ""
    commercial_ok: bool = True
    melody: bool = False  # plays after a tune that is given
    options: dict[str, Any] = field(default_factory=dict)  # what only the file understands

    def engine_options(self, genres: Mapping[str, Any]) -> dict[str, Any]:
        """The plain options that scores.load gets in the engine's child."""
        own = {"maker": self.maker, "name": self.name, "source": self.source, "revision": self.revision}
        return {**own, **self.options, "genres": dict(genres)}


def read_music_presets(data: Mapping[str, Any]) -> dict[str, MusicPreset]:
    """Type the parsed file; raises MakerBroken at the first entry that is wrong."""
    return {name: _read(name, table) for name, table in data.items()}


def allowed_presets(makers: Mapping[str, MusicPreset], *, commercial: bool) -> tuple[str, ...]:
    """Those that this operator may use."""
    return tuple(name for name, one in makers.items() if one.commercial_ok or not commercial)


def _read(name: str, table: Any) -> MusicPreset:
    if not isinstance(table, Mapping):
        raise MusicPresetBroken(name, "is not a table")
    kinds = {f.name: f.type for f in fields(MusicPreset) if f.name != "name"}
    for key, value in table.items():
        if key not in kinds:
            raise MusicPresetBroken(f"{name}.{key}", "no such entry", closest_match(key, tuple(kinds)))
        if not isinstance(value, _TYPES[str(kinds[key])]):
            raise MusicPresetBroken(f"{name}.{key}", f"must be {_WORDS[str(kinds[key])]}")
    for key in ("maker", "title"):
        if key not in table:
            raise MusicPresetBroken(f"{name}.{key}", "is missing")
    return MusicPreset(name=name, **table)


_TYPES: dict[str, Any] = {"str": str, "bool": bool, "dict[str, Any]": Mapping}
_WORDS = {"str": "text", "bool": "true or false", "dict[str, Any]": "a table"}
