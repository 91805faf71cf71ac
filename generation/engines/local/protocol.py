"""Messages between the engine and its child process: one JSON object per line, whose only key is its name."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

MAX_LINE_BYTES = 1 << 20
"""The longest valid line, in bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSetup:
    """Sent to the child once, before any order. Plain data only."""

    ffmpeg: str = ""  # path of ffmpeg, or empty to search for one
    maker_options: dict[str, dict[str, Any]] = field(default_factory=dict)  # of each music maker, by name
    memory: dict[str, Any] = field(default_factory=dict)  # memory settings of the operator
    provenance: dict[str, Any] = field(default_factory=dict)  # how clips are signed, including certificates
    plugins: tuple[str, ...] = ()  # modules to import, which register families and makers
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
    """The name and payload of a line, or None if it is not a valid message."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict) or len(message) != 1:
        return None
    return next(iter(message.items()))
