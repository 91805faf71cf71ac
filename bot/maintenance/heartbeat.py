"""How every part of a running Matinee does, in one small file for whoever asks from outside."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

HEARTBEAT_FILE = "pulse.json"


class HealthState(StrEnum):
    HEALTHY = "well"
    UNREACHABLE = "lost"  # what it talks to is out of reach: a restart would not help
    STUCK = "stuck"  # it is there, but nothing moves
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """What one look at a part found."""

    state: HealthState = HealthState.HEALTHY
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartHealth:
    life: HealthState
    since: float  # as a Unix time
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """`at` is for people; ages are measured on `steady`, which all processes of a machine share."""

    pid: int
    at: float
    steady: float
    started_at: float
    stopping: bool
    parts: dict[str, PartHealth]

    def write(self, folder: Path) -> None:
        """By rename, so that nobody reads half of it; not fsynced, since it need not outlive a power cut."""
        part_file = folder / f"{HEARTBEAT_FILE}.part"
        part_file.write_text(json.dumps(asdict(self)), encoding="utf-8")
        os.replace(part_file, folder / HEARTBEAT_FILE)  # noqa: PTH105  (as atomic as it says)

    @classmethod
    def read(cls, folder: Path) -> Heartbeat | None:
        """None where nothing runs, or ever ran."""
        try:
            data: dict[str, Any] = json.loads((folder / HEARTBEAT_FILE).read_text(encoding="utf-8"))
            parts = {
                name: PartHealth(**{**part, "life": HealthState(part["life"])})
                for name, part in data["parts"].items()
            }
            return cls(**{**data, "parts": parts})
        except (OSError, ValueError, TypeError, KeyError):
            return None
