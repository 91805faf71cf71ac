"""What the engine and its child say to each other: one JSON object a line, named by its one key."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

MAX_LINE_BYTES = 1 << 20
"""No honest line is longer than this many bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSetup:
    """What the child is told once, before any order. Plain data only."""

    ffmpeg: str = ""  # a particular ffmpeg, or empty to look for one
    maker_options: dict[str, dict[str, Any]] = field(
        default_factory=dict
    )  # options of each music maker, by name
    memory: dict[str, Any] = field(default_factory=dict)  # what the operator allows the planner
    provenance: dict[str, Any] = field(default_factory=dict)  # how clips are marked, certificates included
    plugins: tuple[str, ...] = ()  # modules to import, which register families and makers of their own
    nice: int = 10
    heartbeat_seconds: float = 5.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> EngineSetup:
        return cls(**data | {"plugins": tuple(data["plugins"])})


def encode(name: str, payload: Any) -> bytes:
    return json.dumps({name: payload}, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> tuple[str, Any] | None:
    """None for anything that is not one of our lines."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict) or len(message) != 1:
        return None
    return next(iter(message.items()))
