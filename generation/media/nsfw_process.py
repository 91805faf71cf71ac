"""A process that inspects finished clips: it reads paths, writes detections and does not see the GPU."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from generation.child_environment import child_environment
from generation.media.nsfw import EXPLICIT, Detection, detect_nsfw

COMMAND = (sys.executable, "-m", "generation.media.nsfw_process")
NO_GPU_ENV = {"CUDA_VISIBLE_DEVICES": "", "HIP_VISIBLE_DEVICES": ""}


class InspectionFailed(Exception):
    """The clip could not be inspected: the process died, hung or could not read the file."""


class NsfwProcess:
    """Starts with the first clip, inspects one at a time and restarts after a failure."""

    def __init__(
        self,
        *,
        labels: Collection[str] = EXPLICIT,
        timeout: float = 120.0,
        nice: int = 10,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._labels = sorted(labels)
        self._timeout = timeout
        self._nice = nice
        self._command = command
        self._process: asyncio.subprocess.Process | None = None
        self._lock = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def inspect(self, path: Path) -> Detection:
        """Inspect a clip; raises InspectionFailed."""
        async with self._lock:
            try:
                async with asyncio.timeout(self._timeout):
                    answer = await self._ask({"path": str(path), "labels": self._labels})
            except BaseException as error:
                await self.close()  # a late answer must not be taken for the next one
                if isinstance(error, OSError | ValueError | TimeoutError):
                    raise InspectionFailed(f"{type(error).__name__}: {error}") from error
                raise
        if "error" in answer:
            raise InspectionFailed(answer["error"])
        return Detection(**answer)

    async def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        process = await self._ensure_process()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(question).encode() + b"\n")
        await process.stdin.drain()
        answer: dict[str, Any] = json.loads(await process.stdout.readline())
        return answer

    async def _ensure_process(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            pipe = asyncio.subprocess.PIPE
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                str(self._nice),
                stdin=pipe,
                stdout=pipe,
                stderr=asyncio.subprocess.DEVNULL,
                env=child_environment() | NO_GPU_ENV,
                start_new_session=True,  # a Ctrl-C in the terminal must not reach it
            )
        return self._process

    async def close(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def main() -> None:
    """Answer questions until stdin closes, which happens however the parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # libraries may print
    for line in sys.stdin:
        out.write(json.dumps(_answer(json.loads(line))) + "\n")
        out.flush()


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    try:
        return asdict(detect_nsfw(Path(question["path"]), labels=frozenset(question["labels"])))
    except Exception as error:  # noqa: BLE001  (any error is sent to the parent)
        return {"error": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    main()
