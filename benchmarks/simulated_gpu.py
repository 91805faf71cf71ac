"""A plug-in model family that simulates a GPU: it takes some seconds and returns a test card."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from generation.models.common.registry import picture_model
from generation.models.testcard import TestCard

if TYPE_CHECKING:
    from generation.clip import Frames
    from generation.models.common.memory_plan import MemoryPlan
    from generation.models.common.preset import Preset
    from generation.progress import OnStep
    from generation.request import Request


@picture_model("waiting")
class SimulatedGpu:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._frames_by_size: dict[tuple[int, int, int], Frames] = {}

    @classmethod
    def load(cls, preset: Preset, plan: MemoryPlan) -> SimulatedGpu:  # noqa: ARG003  (the signature of every family)
        return cls(float(preset.options["seconds"]))

    def generate_frames(self, request: Request, on_step: OnStep) -> Frames:
        """The frames are drawn once per size, so later calls need no CPU time."""
        end = time.monotonic() + self._seconds
        size = (request.width, request.height, request.frames)
        if size not in self._frames_by_size:
            self._frames_by_size[size] = TestCard().generate_frames(request, lambda *_: None)
        for step in range(request.steps):
            time.sleep(max(0.0, (end - time.monotonic()) / (request.steps - step)))
            on_step(step + 1, request.steps)
        return self._frames_by_size[size]

    def close(self) -> None:
        self._frames_by_size.clear()
