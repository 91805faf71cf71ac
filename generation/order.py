"""One render as an engine is asked for it. Light: who only hands orders on loads nothing that renders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generation.models.common.preset import Preset
from generation.request import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One render as the engine is asked for it. Everything it writes goes into `folder`, by rename."""

    label: str  # names the render in logs and on the wire, unique while in flight
    request: Request
    preset: Preset
    folder: Path

    def to_json(self) -> dict[str, Any]:
        return {
            "label": self.label,
            "request": self.request.to_json(),
            "preset": self.preset.to_json(),
            "folder": str(self.folder),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Order:
        return cls(
            label=data["label"],
            request=Request.from_json(data["request"]),
            preset=Preset.from_json(data["preset"]),
            folder=Path(data["folder"]),
        )
