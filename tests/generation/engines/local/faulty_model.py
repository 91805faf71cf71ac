"""A plug-in family that behaves as its prompt says: how tests make an engine suffer."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from generation.clip import Frames
from generation.errors import OutOfMemory
from generation.models.common.frames import to_uint8_frames
from generation.models.common.registry import picture_model

if TYPE_CHECKING:
    from generation.models.common.memory_plan import MemoryPlan
    from generation.models.common.preset import Preset
    from generation.progress import OnStep
    from generation.request import Request

STEP_SECONDS = 0.005


@picture_model("trouble")
class FaultyModel:
    """Steps by TICK; "VERB" or "VERB:ARGUMENT" as the prompt happens at the first step."""

    @classmethod
    def load(cls, preset: Preset, plan: MemoryPlan) -> FaultyModel:  # noqa: ARG003  (every family is loaded so)
        if loads := preset.options.get("loads"):
            with Path(loads).open("a") as file:
                file.write(f"{preset.name}\n")
        time.sleep(preset.options.get("slow", 0))
        return cls()

    def generate_frames(self, request: Request, on_step: OnStep) -> Frames:
        verb, _, argument = request.prompt.partition(":")
        for step in range(request.steps):
            on_step(step, request.steps)
            if verb == "gate":
                wait_for_file(Path(argument), lambda: on_step(step, request.steps))  # noqa: B023  (called at once)
            elif step == 0:
                getattr(self, f"do_{verb}", lambda _: None)(argument)
            time.sleep(STEP_SECONDS)
        on_step(request.steps, request.steps)
        painted = np.zeros((request.frames, request.height, request.width, 3), np.uint8)
        painted[:, :: 1 + request.seed % 7] = 200
        return Frames(painted, request.fps)

    def close(self) -> None: ...

    def do_raise(self, argument: str) -> None:
        raise LookupError(argument)

    def do_exit(self, argument: str) -> None:
        os._exit(int(argument or 0))

    def do_segfault(self, _: str) -> None:
        ctypes.string_at(0)

    def do_hang(self, _: str) -> None:
        while True:
            time.sleep(60)

    def do_oom(self, _: str) -> None:
        raise OutOfMemory("trouble")

    def do_nan(self, _: str) -> None:
        import torch  # noqa: PLC0415  (heavy)

        to_uint8_frames("trouble", torch.full((2, 3, 8, 8), torch.nan))

    def do_freeze(self, _: str) -> None:
        """As a driver does that never comes back and lets nobody else work meanwhile."""
        ctypes.PyDLL(None).sleep(3600)

    def do_stop(self, _: str) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)

    def do_print(self, argument: str) -> None:
        for _ in range(int(argument)):
            print('{"done": ["x", {}]} rubbish')  # noqa: T201  (as a library would)
            os.write(1, b"\x00\xff not ours\n")

    def do_orphan(self, _: str) -> None:
        """A process such as ffmpeg is, in a process group of its own."""
        if os.fork() == 0:
            os.setpgid(0, 0)
            while True:
                time.sleep(60)


def wait_for_file(file: Path, check_cancelled: object) -> None:
    """Wait, a step at a time, until the test makes the file."""
    assert callable(check_cancelled)
    while not file.exists():
        check_cancelled()
        time.sleep(STEP_SECONDS)
