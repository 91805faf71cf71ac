"""A plug-in model family that misbehaves as its prompt says."""

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


@picture_model("faulty")
class FaultyModel:
    """Runs the action in the prompt, "ACTION" or "ACTION:ARGUMENT", at the first step."""

    @classmethod
    def load(cls, preset: Preset, plan: MemoryPlan) -> FaultyModel:  # noqa: ARG003  (the signature of every family)
        if loads := preset.options.get("loads"):
            with Path(loads).open("a") as file:
                file.write(f"{preset.name}\n")
        time.sleep(preset.options.get("slow", 0))
        return cls()

    def generate_frames(self, request: Request, on_step: OnStep) -> Frames:
        action, _, argument = request.prompt.partition(":")
        for step in range(request.steps):
            on_step(step, request.steps)
            if action == "gate":
                wait_for_file(Path(argument), lambda: on_step(step, request.steps))  # noqa: B023  (called at once)
            elif step == 0:
                getattr(self, f"do_{action}", lambda _: None)(argument)
            time.sleep(STEP_SECONDS)
        on_step(request.steps, request.steps)
        pixels = np.zeros((request.frames, request.height, request.width, 3), np.uint8)
        pixels[:, :: 1 + request.seed % 7] = 200
        return Frames(pixels, request.fps)

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
        raise OutOfMemory("faulty")

    def do_nan(self, _: str) -> None:
        import torch  # noqa: PLC0415  (heavy)

        to_uint8_frames("faulty", torch.full((2, 3, 8, 8), torch.nan))

    def do_freeze(self, _: str) -> None:
        """Block every thread, as a hanging driver does: the GIL is not released."""
        ctypes.PyDLL(None).sleep(3600)

    def do_stop(self, _: str) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)

    def do_print(self, argument: str) -> None:
        for _ in range(int(argument)):
            print('{"done": ["x", {}]} invalid')  # noqa: T201  (as a library might)
            os.write(1, b"\x00\xff not ours\n")

    def do_orphan(self, _: str) -> None:
        """Start a process in its own process group, as ffmpeg is."""
        if os.fork() == 0:
            os.setpgid(0, 0)
            while True:
                time.sleep(60)


def wait_for_file(file: Path, check_cancelled: object) -> None:
    """Wait until the test creates the file."""
    assert callable(check_cancelled)
    while not file.exists():
        check_cancelled()
        time.sleep(STEP_SECONDS)
