"""How a guarded child is started and what its output means; for callers with and without an event loop."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import structlog

from generation.child_environment import child_environment
from generation.clip import Audio, Frames
from generation.errors import AttachmentRefused
from generation.media.sandbox import Isolation, Limits

if TYPE_CHECKING:
    from PIL import Image

log = structlog.get_logger(__name__)

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-s", "-P", str(Path(__file__).with_name("guarded_child.py")))
"""As a file and not with -m, which would import this package before the child has lowered its priority."""
TOO_COSTLY = "too costly"
ANSWER_BYTES = 200_000
LONGEST_SOUND = 600.0
SOUND_RATE = 48_000
FRAME_LIMITS = Limits(memory=6_000_000_000, cpu_seconds=600, wall_seconds=900.0)
"""Clips are also those that this machine made, in any size it could make."""
_MAX_FRAME_BYTES = 6_000_000_000
_SINGLE_THREADED = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def isolation_of_this_machine() -> Isolation:
    """Which limits hold for a child here; found out by starting one."""
    answer, _ = _ask("isolation", None, "", most=0)
    return Isolation(**answer)


def read_picture(path: Path, name: str | None = None) -> Image.Image:
    """The first frame of a picture, upright, as RGB; raises AttachmentRefused."""
    from PIL import Image  # noqa: PLC0415  (heavy)

    name = name or path.name
    (width, height), data = _ask("picture", path, name, most=3 * 16_000_000)
    _require_length(len(data), 3 * width * height, name)
    return Image.frombytes("RGB", (width, height), bytes(data))


def read_sound(path: Path, *, longest: float = LONGEST_SOUND, name: str | None = None) -> Audio:
    """Stereo at 48 kHz, at most `longest` seconds; raises AttachmentRefused."""
    import numpy as np  # noqa: PLC0415  (heavy)

    name = name or path.name
    most = math.floor(longest * SOUND_RATE) * 8
    _, data = _ask("sound", path, name, most=most + 8 * SOUND_RATE * 60, longest=longest)
    samples = np.frombuffer(data, np.float32, len(data) // 8 * 2).reshape(-1, 2)[: most // 8]
    if not len(samples):
        raise AttachmentRefused(name, "without sound")
    return Audio(np.nan_to_num(samples), SOUND_RATE)


def read_frames(path: Path, *, last: int | None = None) -> Frames:
    """All frames of a clip, or the last few; raises AttachmentRefused."""
    import numpy as np  # noqa: PLC0415  (heavy)

    found, data = _ask("frames", path, path.name, most=_MAX_FRAME_BYTES, limits=FRAME_LIMITS, last=last)
    height, width = int(found["height"]), int(found["width"])
    each = 3 * height * width
    _require_length(len(data) % each, 0, path.name)
    pixels = np.frombuffer(data, np.uint8).reshape(-1, height, width, 3)
    return Frames(pixels, float(found["fps"]))


def question_for(kind: str, path: Path | None, limits: Limits, **more: Any) -> str:
    named = {"path": str(path.absolute()) if path else "", "target": ""}
    return json.dumps({"kind": kind, **named, "limits": asdict(limits), **more})


def environment() -> dict[str, str]:
    """The environment of a child: no token, one thread, and the path to this package."""
    return {**child_environment(), **_SINGLE_THREADED, "PYTHONPATH": str(ROOT)}


def parse_answer(output: bytes, status: int | None, kind: str, name: str) -> Any:
    """What the child found. One without an answer used up a limit, or was ended by the file's decoder."""
    try:
        answer = json.loads(output)
    except ValueError:
        log.info("a file ended the process that opened it", status=status, signal=_signal_name(status))
        answer = {}
    if not isinstance(answer, dict) or not answer:
        raise AttachmentRefused(name, TOO_COSTLY)
    if "refused" in answer:
        raise AttachmentRefused(name, str(answer["refused"]))
    if "found" not in answer:
        log.info("a file could not be opened", kind=kind, reason=answer.get("error"))
        raise AttachmentRefused(name, "damaged")
    return answer["found"]


class GuardedProcess:
    """One child: `ask` blocks in one thread, and `kill` may be called in another."""

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._killed = False
        self._lock = threading.Lock()

    def ask(
        self,
        kind: str,
        path: Path | None,
        name: str,
        *,
        most: int = 0,
        limits: Limits | None = None,
        **more: Any,
    ) -> tuple[Any, bytearray]:
        """What the child found, and at most `most` bytes that it sent before.

        Raises AttachmentRefused, and OSError if this machine has no room for another process now.
        """
        process = self._start(question_for(kind, path, limits or Limits(), **more))
        assert process.stdout is not None
        data = bytearray()
        try:
            with process.stdout as stream:
                complete = _read_blocks(stream, data, most)
                output = stream.read(ANSWER_BYTES) if complete else b""
        finally:
            self.kill()  # it has answered, or must not go on
            status = process.wait()
        return parse_answer(output, status, kind, name), data

    def kill(self) -> None:
        with self._lock:
            self._killed = True
            if self._process is not None and self._process.returncode is None:
                self._process.kill()

    def _start(self, question: str) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._killed:
                raise AttachmentRefused("", TOO_COSTLY)
            self._process = subprocess.Popen(  # noqa: S603  (our own module)
                [*self._command, question],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment(),
            )
            return self._process


def _ask(kind: str, path: Path | None, name: str, **more: Any) -> tuple[Any, bytearray]:
    return GuardedProcess().ask(kind, path, name, **more)


def _read_blocks(stream: IO[bytes], data: bytearray, most: int) -> bool:
    """Read to the end of the blocks; False if the child ended before, or sent too much."""
    while len(head := stream.read(4)) == 4:
        length = int.from_bytes(head)
        if length == 0:
            return True
        if len(data) + length > most:
            return False
        data += stream.read(length)
    return False


def _require_length(found: int, expected: int, name: str) -> None:
    if found != expected:
        raise AttachmentRefused(name, "damaged")


def _signal_name(status: int | None) -> str:
    return signal.Signals(-status).name if status is not None and status < 0 else ""
