"""A picture model as the operator configures it: one table of config/models.toml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from enum import StrEnum
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from generation.errors import PresetBroken
from generation.request import Kind, Limits, closest_match


class MemoryTier(StrEnum):
    """Ways to hold a model in memory, from the fastest, which needs the most memory, to the slowest.

    The values are the keys of a preset's `memory` table.
    """

    RESIDENT = "resident"  # the whole model is on the GPU
    LEAN = "lean"  # as RESIDENT, but the text encoders are on the GPU only while they encode a new prompt
    EIGHT_BIT = "eight_bit"  # the whole model is on the GPU, the denoiser with 8-bit weights
    OFFLOAD = "offload"  # one component at a time is on the GPU
    GROUP = "group"  # a few layers at a time are on the GPU, fetched before they are needed


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    name: str
    family: str  # the file of generation/models/ that implements it
    title: str
    limits: Limits
    source: str = ""  # hub id or a local folder; empty when the family needs no weights
    revision: str | None = None  # of `source`
    revisions: dict[str, str] = field(default_factory=dict)  # pinned commits of its other repositories
    vocabulary: str = ""  # a file beside the weights that lists all words it knows
    scores: str = ""  # a file beside the weights with its measured scores
    options: dict[str, Any] = field(default_factory=dict)  # options of the family
    prompt_suffix: str = ""  # appended to every prompt
    fast_steps: int | None = None  # number of steps of the "fast" quality
    memory: dict[str, float] = field(default_factory=dict)  # gigabytes needed, by memory tier
    download: float = 0.0  # gigabytes to download
    cost: float = 1.0  # credits for a clip of the default length
    licence: str = ""
    commercial_ok: bool = True
    excluded_territories: tuple[str, ...] = ()
    gated: bool = False

    def pinned_commit(self, source: str) -> str | None:
        """The commit to use of one of its repositories; None means the newest."""
        return (self.revision if source == self.source else None) or self.revisions.get(source)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Preset:
        preset = _read_table(cls, data, data.get("name", "preset"))
        assert isinstance(preset, cls)
        return preset


def read_presets(data: Mapping[str, Any]) -> dict[str, Preset]:
    """Read presets from a parsed models.toml; raises PresetBroken with the key and the closest known one."""
    presets = {}
    for name, table in data.items():
        if not isinstance(table, Mapping):
            raise PresetBroken(name, "is not a table of one model")
        presets[name] = _read_table(Preset, {"limits": {}, **table, "name": name}, name)
        _check_memory_tiers(presets[name])
        _check_numbers(presets[name])
    return presets


def is_licence_allowed(preset: Preset, *, commercial: bool = False, territory: str = "") -> bool:
    """Whether the licence allows this use in this territory."""
    return (preset.commercial_ok or not commercial) and territory not in preset.excluded_territories


def _check_memory_tiers(preset: Preset) -> None:
    tiers = tuple(memory_tier.value for memory_tier in MemoryTier)
    for tier in preset.memory:
        if tier not in tiers:
            raise PresetBroken(
                f"{preset.name}.memory.{tier}", "is not a memory tier", closest_match(tier, tiers)
            )


_MAY_BE_ZERO = frozenset({"bigger_pixels", "frame_offset", "guidance", "max_guidance"})
_MAX_NUMBER, _MAX_FPS, _MAX_SIDE, _MAX_SECONDS = 1e9, 1000.0, 16_384, 3600.0


def _check_numbers(preset: Preset) -> None:
    """Every limit is a divisor or a bound of something, so none may be 0, endless or no number."""
    limits, place = preset.limits, f"{preset.name}.limits"
    for known in fields(limits):
        value = getattr(limits, known.name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            highest = _MAX_FPS if known.name.endswith("fps") else _MAX_NUMBER
            highest = _MAX_SECONDS if known.name.endswith("seconds") else highest
            highest = _MAX_SIDE if known.name in {"width", "height", "min_side", "max_side"} else highest
            lowest_allowed = value >= 0 if known.name in _MAY_BE_ZERO else value > 0
            if not (lowest_allowed and value <= highest):
                raise PresetBroken(f"{place}.{known.name}", f"cannot be {value}")
    for name, sides in limits.aspects.items():
        if not all(0 < side <= _MAX_SIDE for side in sides):
            raise PresetBroken(f"{place}.aspects.{name}", f"cannot be {list(sides)}")
    amounts = {"cost": preset.cost, "download": preset.download}
    amounts |= {f"memory.{tier}": size for tier, size in preset.memory.items()}
    for name, value in amounts.items():
        if not 0 <= value <= _MAX_NUMBER:
            raise PresetBroken(f"{preset.name}.{name}", f"cannot be {value}")
    if preset.fast_steps is not None and not 0 < preset.fast_steps <= _MAX_NUMBER:
        raise PresetBroken(f"{preset.name}.fast_steps", f"cannot be {preset.fast_steps}")


def _read_table(cls: type, table: Mapping[str, Any], key_path: str) -> Any:
    types = get_type_hints(cls)
    for key in table:
        if key not in types:
            raise PresetBroken(
                f"{key_path}.{key}", "is not a key of a preset", closest_match(key, tuple(types))
            )
    for known_field in fields(cls):
        if (
            known_field.name not in table
            and known_field.default is MISSING
            and known_field.default_factory is MISSING
        ):
            raise PresetBroken(f"{key_path}.{known_field.name}", "is missing")
    return cls(**{key: _convert(types[key], value, f"{key_path}.{key}") for key, value in table.items()})


def _convert(field_type: Any, value: Any, key_path: str) -> Any:
    """Convert `value` from JSON or TOML, where tuples are lists and enums are text, to the field's type."""
    origin = get_origin(field_type)
    if origin in {Union, UnionType}:
        return None if value is None else _convert(get_args(field_type)[0], value, key_path)
    if origin is tuple:
        return _convert_tuple(get_args(field_type), _expect_type((list, tuple), value, key_path), key_path)
    if origin is dict:
        inner = get_args(field_type)[1]
        table = _expect_type(Mapping, value, key_path)
        return {key: _convert(inner, entry, f"{key_path}.{key}") for key, entry in table.items()}
    if is_dataclass(field_type):
        return _read_table(field_type, _expect_type(Mapping, value, key_path), key_path)  # type: ignore[arg-type]  # a class, not an instance
    return (
        _convert_clip_kind(value, key_path)
        if field_type is Kind
        else _convert_plain(field_type, value, key_path)
    )


def _convert_plain(field_type: Any, value: Any, key_path: str) -> Any:
    if field_type is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise PresetBroken(key_path, "is too large a number") from None
    return value if field_type is Any else _expect_type(field_type, value, key_path)


def _convert_tuple(entry_types: tuple[Any, ...], values: Any, key_path: str) -> tuple[Any, ...]:
    if Ellipsis not in entry_types and len(values) != len(entry_types):
        raise PresetBroken(key_path, f"must have {len(entry_types)} entries")
    types = entry_types[:1] * len(values) if Ellipsis in entry_types else entry_types
    return tuple(_convert(kind, value, key_path) for kind, value in zip(types, values, strict=True))


def _convert_clip_kind(value: object, key_path: str) -> Kind:
    known_kinds = tuple(kind.value for kind in Kind)
    if value not in known_kinds:
        raise PresetBroken(
            key_path, f"{value!r} is not a kind of clip", closest_match(str(value), known_kinds)
        )
    return Kind(value)


def _expect_type(expected: Any, value: Any, key_path: str) -> Any:
    if not isinstance(value, expected) or (isinstance(value, bool) and expected is int):
        raise PresetBroken(key_path, f"cannot be {value!r}")
    return value
