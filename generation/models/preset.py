"""A picture model as an operator names it: one table of config/models.toml."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from generation.request import Kind, Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    name: str
    family: str  # the file of generation/models/ that paints it
    title: str
    limits: Limits
    source: str = ""  # hub id or a local folder; empty when the family needs no weights
    revision: str | None = None
    options: dict[str, Any] = field(default_factory=dict)  # what only the family understands
    cost: float = 1.0  # credits for a clip of the default length
    licence: str = ""
    commercial_ok: bool = True
    excluded_territories: tuple[str, ...] = ()
    gated: bool = False

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Preset:
        limits = dict(data["limits"])
        for name in ("styles", "cameras"):
            limits[name] = tuple(limits.get(name, ()))
        limits["kinds"] = tuple(Kind(kind) for kind in limits.get("kinds", ("video",)))
        limits["aspects"] = {name: (size[0], size[1]) for name, size in limits.get("aspects", {}).items()}
        rest = {**data, "excluded_territories": tuple(data.get("excluded_territories", ()))}
        return cls(**{**rest, "limits": Limits(**limits)})
