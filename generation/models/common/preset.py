"""A picture model as an operator names it: one table of config/models.toml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from generation.errors import PresetBroken
from generation.models.common.memory_plan import Keep
from generation.request import Kind, Limits, near


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    name: str
    family: str  # the file of generation/models/ that paints it
    title: str
    limits: Limits
    source: str = ""  # hub id or a local folder; empty when the family needs no weights
    revision: str | None = None  # of `source`
    revisions: dict[str, str] = field(default_factory=dict)  # of what else it is made of, by repository
    vocabulary: str = ""  # a file beside the weights that lists the only words it knows
    scores: str = ""  # a file beside the weights with its measured scores
    options: dict[str, Any] = field(default_factory=dict)  # what only the family understands
    prompt_suffix: str = ""  # words that this model wants at the end of every prompt
    fast_steps: int | None = None  # what "fast" means here
    memory: dict[str, float] = field(default_factory=dict)  # gigabytes a way of holding it needs, by tier
    download: float = 0.0  # gigabytes to pull
    cost: float = 1.0  # credits for a clip of the default length
    licence: str = ""
    commercial_ok: bool = True
    excluded_territories: tuple[str, ...] = ()
    gated: bool = False

    def pin(self, source: str) -> str | None:
        """The commit that is used of one of its repositories; None is whatever is newest."""
        return (self.revision if source == self.source else None) or self.revisions.get(source)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Preset:
        preset = _read(cls, data, data.get("name", "preset"))
        assert isinstance(preset, cls)
        return preset


def read_presets(data: Mapping[str, Any]) -> dict[str, Preset]:
    """Presets from a parsed models.toml, one a table; raises PresetBroken with the key and what was meant."""
    presets = {}
    for name, table in data.items():
        if not isinstance(table, Mapping):
            raise PresetBroken(name, "is not a table of one model")
        presets[name] = _read(Preset, {"limits": {}, **table, "name": name}, name)
        _check_tiers(presets[name])
    return presets


def allowed(preset: Preset, *, commercial: bool = False, territory: str = "") -> bool:
    """Whether the licence lets an operator offer it there."""
    return (preset.commercial_ok or not commercial) and territory not in preset.excluded_territories


def _check_tiers(preset: Preset) -> None:
    tiers = tuple(keep.value for keep in Keep)
    for tier in preset.memory:
        if tier not in tiers:
            raise PresetBroken(f"{preset.name}.memory.{tier}", "is no way to hold a model", near(tier, tiers))


def _read(cls: type, table: Mapping[str, Any], place: str) -> Any:
    types = get_type_hints(cls)
    for key in table:
        if key not in types:
            raise PresetBroken(f"{place}.{key}", "is no key of a preset", near(key, tuple(types)))
    for known in fields(cls):
        if known.name not in table and known.default is MISSING and known.default_factory is MISSING:
            raise PresetBroken(f"{place}.{known.name}", "is missing")
    return cls(**{key: _value(types[key], value, f"{place}.{key}") for key, value in table.items()})


def _value(kind: Any, value: Any, place: str) -> Any:
    """`value` as the field's type says, from JSON or TOML, where tuples are lists and enums words."""
    origin = get_origin(kind)
    if origin in {Union, UnionType}:
        return None if value is None else _value(get_args(kind)[0], value, place)
    if origin is tuple:
        return _tuple(get_args(kind), _expect((list, tuple), value, place), place)
    if origin is dict:
        inner = get_args(kind)[1]
        table = _expect(Mapping, value, place)
        return {key: _value(inner, entry, f"{place}.{key}") for key, entry in table.items()}
    if is_dataclass(kind):
        return _read(kind, _expect(Mapping, value, place), place)  # type: ignore[arg-type]  # a class, not one of it
    return _kind(value, place) if kind is Kind else _plain(kind, value, place)


def _plain(kind: Any, value: Any, place: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value if kind is Any else _expect(kind, value, place)


def _tuple(kinds: tuple[Any, ...], values: Any, place: str) -> tuple[Any, ...]:
    if Ellipsis not in kinds and len(values) != len(kinds):
        raise PresetBroken(place, f"must have {len(kinds)} entries")
    each = kinds[:1] * len(values) if Ellipsis in kinds else kinds
    return tuple(_value(kind, value, place) for kind, value in zip(each, values, strict=True))


def _kind(value: object, place: str) -> Kind:
    words = tuple(kind.value for kind in Kind)
    if value not in words:
        raise PresetBroken(place, f"{value!r} is no kind of clip", near(str(value), words))
    return Kind(value)


def _expect(kinds: Any, value: Any, place: str) -> Any:
    if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is int):
        raise PresetBroken(place, f"cannot be {value!r}")
    return value
