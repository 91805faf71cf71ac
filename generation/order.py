"""An order: one render as an engine receives it. Importing this loads no rendering code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generation.models.common.preset import Preset
from generation.request import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One render as an engine receives it. All files go to `folder`, under a temporary name first."""

    label: str  # identifies the render in logs and messages, unique while in flight
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
