"""Find ffmpeg and run it, with progress, deadline and cancellation; no process is ever left."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from generation.child_environment import child_environment
from generation.errors import (
    DiskFull,
    EncodeFailed,
    EncoderKilled,
    FfmpegMissing,
    FolderUnwritable,
    GenerationError,
)

MIN_VERSION = (5, 1)
_REQUIRED_ENCODERS = ("libx264", "aac")
_TERMINATE_TIMEOUT = 0.5  # seconds between SIGTERM and SIGKILL
_STALL_TIMEOUT = 60.0  # a healthy ffmpeg reports twice a second
_KILL_SIGNALS = {signal.SIGKILL, signal.SIGTERM}
"""Sent from outside, for instance when memory runs out; not a bug of ffmpeg."""
_TAIL = 60  # lines of stderr kept for the log

OnFrame = Callable[[int], None]
Chunks = Iterable[Any]  # objects that support the buffer protocol


@dataclass(frozen=True, slots=True)
class Ffmpeg:
    """An ffmpeg with all that Matinee needs; `origin` is "configured", "system" or "carried" (bundled)."""

    path: str
    version: str
    origin: str


@cache
def find(configured: str | None = None) -> Ffmpeg:
    """The configured ffmpeg if there is one, else the system's if it is suitable, else the bundled one."""
    if configured:
        return _check_program(configured, "configured")
    tried: list[str] = []
    for path, origin in (("ffmpeg", "system"), (_bundled_path(), "carried")):
        try:
            return _check_program(path, origin)
        except FfmpegMissing as error:
            tried += error.tried
    raise FfmpegMissing(tuple(tried))


def _bundled_path() -> str:
    import imageio_ffmpeg  # noqa: PLC0415  (only where it is used)

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError:
        return "imageio-ffmpeg"


def _check_program(program: str, origin: str) -> Ffmpeg:
    path = shutil.which(program)
    if path is None:
        raise FfmpegMissing((f"{program}: not found",))
    try:
        result = _list_encoders(path)
        if result.returncode < 0:  # killed, perhaps because memory ran out: try once more
            result = _list_encoders(path)
        result.check_returncode()
    except (OSError, subprocess.SubprocessError) as error:
        raise FfmpegMissing((f"{path}: does not run ({type(error).__name__})",)) from error
    found = re.search(r"ffmpeg version (\S+)", result.stderr)
    version = found[1] if found else "unknown"
    missing = [
        name
        for name in _REQUIRED_ENCODERS
        if not re.search(rf"^\s*\S+\s+{name}\s", result.stdout, re.MULTILINE)
    ]
    if missing:
        raise FfmpegMissing((f"{path}: has no {' and no '.join(missing)}",))
    if _parse_version(version) < MIN_VERSION:
        raise FfmpegMissing((f"{path}: {version} is older than {MIN_VERSION[0]}.{MIN_VERSION[1]}",))
    return Ffmpeg(path, version, origin)


def _list_encoders(path: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  (the operator's own program, no shell)
        [path, "-nostdin", "-encoders"],
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def _parse_version(version: str) -> tuple[int, ...]:
    """The version as numbers. Development builds (N-119-gabc) count as recent enough."""
    found = re.match(r"n?(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else MIN_VERSION


async def run(  # noqa: PLR0913  (most are optional)
    ffmpeg: Ffmpeg,
    stream: Any,
    *,
    stage: str,
    feed: Chunks | None = None,
    on_frame: OnFrame | None = None,
    deadline: float | None = None,
    stall: float = _STALL_TIMEOUT,
    nice: int = 0,
) -> str:
    """Run an ffmpeg-python stream with `feed` as stdin; returns the end of its stderr.

    A thread writes the buffers without copying, so the event loop never waits for the pipe. On return or
    exception, ffmpeg and its process group have ended.
    """
    global_options = ("-y", "-hide_banner", "-nostdin", "-nostats", "-progress", "pipe:1")
    command = [ffmpeg.path, *global_options, *stream.compile(cmd=ffmpeg.path)[1:]]
    read_end, write_end = os.pipe() if feed is not None else (subprocess.DEVNULL, None)
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=read_end,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            limit=1 << 20,
            env=child_environment(),
            **_process_group_options(),
        )
    except OSError as error:
        if write_end is not None:
            os.close(write_end)
        raise FfmpegMissing((f"{ffmpeg.path}: does not run ({type(error).__name__})",)) from error
    finally:
        if write_end is not None:
            os.close(read_end)
    if nice:
        _lower_priority(process, nice)
    tail: deque[str] = deque(maxlen=_TAIL)
    readers = [
        asyncio.ensure_future(_read_progress(process, on_frame, stall)),
        asyncio.ensure_future(_read_stderr(process, tail)),
    ]
    feeder = asyncio.ensure_future(_feed_stdin(write_end, feed))
    try:
        async with asyncio.timeout(deadline):
            await asyncio.gather(*readers, asyncio.shield(feeder))
            code = await process.wait()
    except TimeoutError as error:
        raise EncodeFailed(stage, f"ffmpeg made no progress in time: {_without_tags(tail)}") from error
    finally:
        await _terminate(process)
        await asyncio.gather(*readers, feeder, return_exceptions=True)
    if code or _disk_is_full(tail):  # some versions exit with 0 although the disk is full
        raise _failure(stage, code, tail, Path(command[-1]).parent)
    return _join(tail)


def _process_group_options() -> dict[str, Any]:
    """The engine process runs on asyncio's own loop and is killed by session, so ffmpeg stays in its session.

    Other event loops, such as the bot's, may support a new process group only with a new session.
    """
    if isinstance(asyncio.get_running_loop(), asyncio.SelectorEventLoop):
        return {"process_group": 0}
    return {"start_new_session": True}


def _lower_priority(process: asyncio.subprocess.Process, nice: int) -> None:
    """Lower the priority; threads that ffmpeg starts later inherit it."""
    with suppress(ProcessLookupError, PermissionError):
        os.setpriority(os.PRIO_PROCESS, process.pid, nice)


async def _feed_stdin(write_end: int | None, feed: Chunks | None) -> None:
    if write_end is not None and feed is not None:
        await asyncio.to_thread(_write_all, write_end, feed)


def _write_all(write_end: int, feed: Chunks) -> None:
    try:
        for chunk in feed:
            view = memoryview(chunk).cast("B")
            while view:
                view = view[os.write(write_end, view) :]
    except BrokenPipeError:
        pass  # ffmpeg has ended; its exit code and stderr say why
    finally:
        os.close(write_end)


async def _read_progress(process: asyncio.subprocess.Process, on_frame: OnFrame | None, stall: float) -> None:
    """Read the progress report; raises TimeoutError when none comes for `stall` seconds."""
    assert process.stdout is not None
    while line := await asyncio.wait_for(process.stdout.readline(), stall):
        name, _, value = line.partition(b"=")
        if on_frame is not None and name == b"frame" and value.strip().isdigit():
            on_frame(int(value))


async def _read_stderr(process: asyncio.subprocess.Process, tail: deque[str]) -> None:
    assert process.stderr is not None
    while line := await process.stderr.readline():
        tail.append(line.decode(errors="replace").rstrip())


async def _terminate(process: asyncio.subprocess.Process) -> None:
    """Send SIGTERM to the group, then SIGKILL, even if this is cancelled meanwhile."""
    if process.returncode is not None:
        return
    _signal_group(process, signal.SIGTERM)
    try:
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _TERMINATE_TIMEOUT)
    finally:
        _signal_group(process, signal.SIGKILL)
        await process.wait()


def _signal_group(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _join(tail: Iterable[str]) -> str:
    return "\n".join(tail)


def _without_tags(tail: Iterable[str]) -> str:
    """The messages, without the tags of a file: they quote a user's prompt, and errors are logged."""
    return _join(line for line in tail if not line.startswith("    "))


def _disk_is_full(tail: Iterable[str]) -> bool:
    """Whether ffmpeg reports a full disk; its messages start a line, while file tags are indented."""
    return any(re.match(r"\S.*(No space left on device|File too large)$", line) for line in tail)


def _failure(stage: str, code: int, tail: Iterable[str], folder: Path) -> GenerationError:
    stderr = _without_tags(tail)
    if _disk_is_full(tail):
        return DiskFull(str(folder))
    if "Permission denied" in stderr or "Read-only file system" in stderr:
        return FolderUnwritable(str(folder))
    kind = EncoderKilled if -code in _KILL_SIGNALS else EncodeFailed
    return kind(stage, f"ffmpeg ended with {code}: {stderr}")
