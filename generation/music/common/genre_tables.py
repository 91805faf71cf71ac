"""Genres: the tables of config/genres.toml, typed and checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from generation.request import closest_match

SILENT = "none"
NATIVE = "native"
OWN_TRACK = "own"
RESERVED = {SILENT: "no music", NATIVE: "the model's own sound", OWN_TRACK: "your own track"}
MODES = ("major", "minor")
SLOWEST, FASTEST = 40.0, 220.0
"""Range of tempos in beats per minute that users may ask for."""


class GenreBroken(Exception):
    """An invalid entry of the genre tables; `place` is its path, like "lofi.bass_line"."""

    def __init__(self, place: str, problem: str, near: str | None = None) -> None:
        super().__init__(f"{place}: {problem}" + (f", did you mean {near!r}?" if near else ""))
        self.place = place
        self.problem = problem
        self.near = near


@dataclass(frozen=True, slots=True, kw_only=True)
class Genre:
    """One genre. docs/music.md explains the letters of the patterns."""

    name: str
    title: str
    emoji: str
    prompt: str  # prompt for neural music makers
    bpm: tuple[float, float, float]  # slowest, usual, fastest
    keys: tuple[str, ...]
    progressions: dict[str, tuple[str, ...]]  # by mode
    ending: dict[str, str]  # by mode: the last two chords
    kit: str
    drums: dict[str, str] = field(default_factory=dict)
    every: dict[str, int] = field(default_factory=dict)  # a drum that plays only in every n-th bar
    bass: str
    bass_line: str
    comp: str
    comp_line: str
    lead: str
    lead_lines: tuple[str, ...]
    pad: str = ""
    meter: int = 4
    swing: float = 0.0  # delay of every second step, as a share of a step
    swing_on: int = 8  # 8: eighth notes swing, 16: sixteenth notes swing
    texture: str = ""
    space: float = 0.2  # amount of reverb
    drive: float = 0.0  # amount of saturation of the whole mix
    pump: float = 0.0  # how much the kick drum ducks everything else
    moods: tuple[str, ...] = ()
    words: tuple[str, ...] = ()  # each counts twice if it occurs in a prompt
    hints: tuple[str, ...] = ()  # each counts once

    @property
    def steps(self) -> int:
        return self.meter * 4


_LETTERS = {"bass_line": "1358a-.", "comp_line": "x12345678-.", "lead_lines": "x-.", "drums": "xXo."}
_NUMBERS = {"swing": (0.0, 0.5), "space": (0.0, 1.0), "drive": (0.0, 1.0), "pump": (0.0, 1.0)}


def read_genres(data: Mapping[str, Any]) -> dict[str, Genre]:
    """Convert and check the parsed file; raises GenreBroken for the first invalid entry."""
    for name in data:
        if name in RESERVED:
            raise GenreBroken(name, f"this name is reserved for {RESERVED[name]!r}")
    return {name: _read(name, table) for name, table in data.items()}


def _read(name: str, table: Any) -> Genre:
    if not isinstance(table, Mapping):
        raise GenreBroken(name, "is not a table")
    known = tuple(f.name for f in fields(Genre))[1:]
    for key in table:
        if key not in known:
            raise GenreBroken(f"{name}.{key}", "is not a key of a genre", closest_match(key, known))
    typed = {key: _typed(f"{name}.{key}", key, value) for key, value in table.items()}
    try:
        genre = Genre(name=name, **typed)
    except TypeError as error:
        raise GenreBroken(name, f"is incomplete, it lacks {str(error).partition('missing ')[2]}") from None
    _check(genre)
    return genre


def _typed(place: str, key: str, value: Any) -> Any:
    if key in _NUMBERS:
        return _number(place, value, *_NUMBERS[key])
    read: Reader = _READERS.get(key, _string)
    return read(place, value)


def _check(genre: Genre) -> None:
    where = genre.name
    if genre.meter not in {2, 3, 4}:
        raise GenreBroken(f"{where}.meter", "must be 2, 3 or 4 beats")
    if genre.swing_on not in {8, 16}:
        raise GenreBroken(f"{where}.swing_on", "must be 8 or 16")
    if not genre.keys or not genre.lead_lines:
        raise GenreBroken(where, "needs at least one key and one lead line")
    for mode in genre.progressions:
        if mode not in MODES or mode not in genre.ending:
            raise GenreBroken(f"{where}.progressions.{mode}", "must be major or minor, and have an ending")
    if not any(genre.progressions.values()):
        raise GenreBroken(f"{where}.progressions", "needs at least one line of chords")
    lines = {"bass_line": genre.bass_line, "comp_line": genre.comp_line}
    lines |= {f"lead_lines[{i}]": line for i, line in enumerate(genre.lead_lines)}
    lines |= {f"drums.{piece}": line for piece, line in genre.drums.items()}
    for key, line in lines.items():
        letters = _LETTERS[key.partition(".")[0].partition("[")[0]]
        _check_pattern(f"{where}.{key}", line, letters, genre.steps)


def _check_pattern(place: str, line: str, letters: str, steps: int) -> None:
    if len(line) != steps:
        raise GenreBroken(place, f"has {len(line)} steps, a bar has {steps}")
    for letter in line:
        if letter not in letters:
            raise GenreBroken(place, f"{letter!r} is not one of {letters}")


def _string(place: str, value: Any) -> str:
    if not isinstance(value, str):
        raise GenreBroken(place, "must be text")
    return value


def _strings(place: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(one, str) for one in value):
        raise GenreBroken(place, "must be a list of texts")
    return tuple(value)


def _table(place: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise GenreBroken(place, "must be a table")
    return value


def _number(place: str, value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise GenreBroken(place, f"must be a number from {low:g} to {high:g}")
    return float(value)


def _whole(place: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise GenreBroken(place, "must be a whole number above 0")
    return value


def _tempos(place: str, value: Any) -> tuple[float, float, float]:
    if not isinstance(value, (list, tuple)) or len(value) != 3:
        raise GenreBroken(place, "must be three tempos: slowest, usual, fastest")
    low, usual, high = (_number(place, one, SLOWEST, FASTEST) for one in value)
    if not low <= usual <= high:
        raise GenreBroken(place, "must go from slow to fast")
    return low, usual, high


Reader = Callable[[str, Any], Any]


def _table_of(read: Reader) -> Reader:
    return lambda place, value: {one: read(f"{place}.{one}", it) for one, it in _table(place, value).items()}


_READERS: dict[str, Reader] = {
    **dict.fromkeys(("keys", "lead_lines", "moods", "words", "hints"), _strings),
    **dict.fromkeys(("ending", "drums"), _table_of(_string)),
    **dict.fromkeys(("meter", "swing_on"), _whole),
    "bpm": _tempos,
    "every": _table_of(_whole),
    "progressions": _table_of(_strings),
}
