"""The heartbeat file: the health of every part of a running Matinee, for other processes to read."""

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
    UNREACHABLE = "lost"  # the service that it uses cannot be reached: a restart would not help
    STUCK = "stuck"  # it runs but makes no progress
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """The result of one check of a part."""

    state: HealthState = HealthState.HEALTHY
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartHealth:
    life: HealthState
    since: float  # as a Unix time
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """`at` is for display; ages are measured with `steady`, the machine's monotonic clock."""

    pid: int
    at: float
    steady: float
    started_at: float
    stopping: bool
    parts: dict[str, PartHealth]

    def write(self, folder: Path) -> None:
        """Write by rename, so that no reader sees a partial file.

        It is not fsynced, since it need not survive a power failure.
        """
        part_file = folder / f"{HEARTBEAT_FILE}.part"
        part_file.write_text(json.dumps(asdict(self)), encoding="utf-8")
        os.replace(part_file, folder / HEARTBEAT_FILE)  # noqa: PTH105  (the documented atomic call)

    @classmethod
    def read(cls, folder: Path) -> Heartbeat | None:
        """None if there is no valid file, for example because Matinee is not running."""
        try:
            data: dict[str, Any] = json.loads((folder / HEARTBEAT_FILE).read_text(encoding="utf-8"))
            parts = {
                name: PartHealth(**{**part, "life": HealthState(part["life"])})
                for name, part in data["parts"].items()
            }
            return cls(**{**data, "parts": parts})
        except (OSError, ValueError, TypeError, KeyError):
            return None
