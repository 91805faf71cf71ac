"""Open files of users only in short-lived child processes with limits, so that none can exhaust the bot."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from generation.child_environment import child_environment
from generation.clip import Clip
from generation.errors import AttachmentRefused
from generation.request import Request

if TYPE_CHECKING:
    from asyncio.subprocess import Process

log = structlog.get_logger(__name__)

MODULE = "generation.media.guarded_child"
ROOT = Path(__file__).resolve().parents[2]
ANSWER_BYTES = 200_000
TOO_COSTLY = "too costly"
BUSY = "busy"
_SINGLE_THREADED = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadLimits:
    """What one child may use."""

    memory: int = 1_000_000_000  # bytes of address space, of which the libraries themselves take 300 MB
    cpu_seconds: int = 10
    wall_seconds: float = 30.0
    written_bytes: int = 64_000_000


class GuardedReader:
    """Reads one file in one child process; at most `workers` at once, and `waiting` more in a queue.

    Paths are absolute. Every method raises AttachmentRefused with `name`, the user's name of the file, if the
    file cannot be used, also if its child died or used up a limit.
    """

    def __init__(
        self,
        *,
        workers: int = 2,
        waiting: int = 100,
        limits: ReadLimits | None = None,
        command: Sequence[str] = (sys.executable, "-s", "-m", MODULE),
    ) -> None:
        self._slots = asyncio.Semaphore(workers)
        self._places = workers + waiting
        self._inside = 0
        self._limits = limits or ReadLimits()
        self._command = tuple(command)

    async def clean_picture(self, path: Path, target: Path, name: str) -> tuple[int, int]:
        """Write a PNG without metadata of the first frame to `target`; returns its width and height."""
        width, height = await self._ask("clean picture", path, name, target=target)
        return width, height

    async def picture_size(self, path: Path, name: str) -> tuple[int, int]:
        width, height = await self._ask("picture size", path, name)
        return width, height

    async def check_sound(self, path: Path, name: str) -> None:
        await self._ask("sound", path, name)

    async def read_clip(self, path: Path, name: str) -> Clip:
        return Clip.from_json(await self._ask("clip", path, name))

    async def read_recipe(self, path: Path, name: str) -> Request | None:
        """The request that the file carries, or None. Anybody can have written it."""
        found = await self._ask("recipe", path, name)
        return None if found is None else Request.from_json(found)

    async def _ask(self, kind: str, path: Path, name: str, *, target: Path | None = None) -> Any:
        if self._inside >= self._places:
            raise AttachmentRefused(name, BUSY)
        self._inside += 1
        try:
            async with self._slots:
                question = {
                    "kind": kind,
                    "path": str(path),
                    "target": str(target or ""),
                    "limits": asdict(self._limits),
                }
                answer = await self._run_child(json.dumps(question), name)
        finally:
            self._inside -= 1
        if "refused" in answer:
            raise AttachmentRefused(name, answer["refused"])
        if "error" in answer:
            log.info("a file could not be opened", kind=kind, reason=answer["error"])
            raise AttachmentRefused(name, "damaged")
        return answer["found"]

    async def _run_child(self, question: str, name: str) -> dict[str, Any]:
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                question,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=_environment(),
                start_new_session=True,  # a Ctrl-C in the terminal must not reach it
            )
        except OSError as error:  # this machine has no room for another process now
            log.warning("no process to open a file", reason=str(error))
            raise AttachmentRefused(name, BUSY) from error
        try:
            async with asyncio.timeout(self._limits.wall_seconds + 1):
                output = await _read_answer(process)
                if len(output) <= ANSWER_BYTES:
                    await process.wait()
        except TimeoutError:
            output = b""
        finally:
            await _end(process)
        return _parse_answer(output, process.returncode)


def _environment() -> dict[str, str]:
    """The environment of a child: no token, one thread, and the path to this package."""
    return {**child_environment(), **_SINGLE_THREADED, "PYTHONPATH": str(ROOT)}


async def _read_answer(process: Process) -> bytes:
    assert process.stdout is not None
    output = b""
    while (piece := await process.stdout.read(65_536)) and len(output) <= ANSWER_BYTES:
        output += piece
    return output


async def _end(process: Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
        while process.stdout is not None and await process.stdout.read(65_536):
            pass  # the pipe is closed only once it is empty
        await process.wait()


def _parse_answer(output: bytes, status: int | None) -> dict[str, Any]:
    """A child without an answer used up one of its limits, or was ended by the file's decoder."""
    try:
        answer = json.loads(output)
    except ValueError:
        log.info("a file ended the process that opened it", status=status, signal=_signal_name(status))
        return {"refused": TOO_COSTLY}
    return answer if isinstance(answer, dict) and answer else {"refused": TOO_COSTLY}


def _signal_name(status: int | None) -> str:
    return signal.Signals(-status).name if status is not None and status < 0 else ""
