"""Start Python processes quickly by forking a server that has already imported everything.

`python -m tests.fork_server` is the server. It reads commands from a socket and runs each as `python -m`
would. For every process, a monitor process writes its pid and later its exit code to a pipe.
"""

from __future__ import annotations

import asyncio
import atexit
import ctypes
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from tests.paths import ROOT

MAX_MESSAGE_BYTES = 1 << 17  # of one command, including its environment
PR_SET_PDEATHSIG = 1


@dataclass
class ForkedProcess:
    pid: int
    _exit_pipe: int
    returncode: int | None = None
    _exit_future: asyncio.Future[int] | None = None

    def kill(self) -> None:
        """Kill the process; does nothing if it has ended."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def join(self, timeout: float) -> int:
        """Wait for its exit code, or minus the number of the signal that killed it."""
        if self.returncode is None:
            if not select.select([self._exit_pipe], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
            self.returncode = _read_number(self._exit_pipe)
            os.close(self._exit_pipe)
        return self.returncode

    async def wait(self) -> int:
        if self._exit_future is None:
            loop = asyncio.get_running_loop()
            self._exit_future = loop.create_future()
            loop.add_reader(self._exit_pipe, self._on_exit_readable, loop, self._exit_future)
        return await asyncio.shield(self._exit_future)

    def _on_exit_readable(self, loop: asyncio.AbstractEventLoop, ended: asyncio.Future[int]) -> None:
        loop.remove_reader(self._exit_pipe)
        ended.set_result(self.join(timeout=0))


def _read_number(pipe: int) -> int:
    """Read exactly one line: pid and exit code may both be in the pipe already."""
    digits = b""
    while not digits.endswith(b"\n"):
        byte = os.read(pipe, 1)
        if not byte:
            raise EOFError("a monitor ended without reporting")
        digits += byte
    return int(digits)


class ForkServer:
    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  (our own module)
                [sys.executable, "-m", __name__], cwd=ROOT, stdin=theirs.fileno()
            )

    def spawn(
        self, module: str, *arguments: str, folder: Path, environment: Mapping[str, str], out: int, err: int
    ) -> ForkedProcess:
        """Run `python -m module arguments` in `folder`; `out` and `err` are its output descriptors."""
        command = {
            "module": module,
            "arguments": arguments,
            "folder": str(folder),
            "environment": dict(environment),
        }
        read_end, write_end = os.pipe()
        try:
            socket.send_fds(self._socket, [json.dumps(command).encode()], [out, err, write_end])
        finally:
            os.close(write_end)
        return ForkedProcess(_read_number(read_end), read_end)

    def close(self) -> None:
        self._socket.close()
        self._process.wait()


_INSTANCES: list[ForkServer] = []
_LOCK = threading.Lock()


def fork_server() -> ForkServer:
    """The fork server of this process; it ends with this process."""
    with _LOCK:
        if not _INSTANCES:
            _INSTANCES.append(ForkServer())
            atexit.register(_INSTANCES[0].close)
        return _INSTANCES[0]


def _preload_modules() -> None:
    """Import everything and run the bot once without frontends, which fills the caches."""
    from bot.cli import commands  # noqa: F401, PLC0415  (heavy)
    from bot.frontends.discord import frontend as discord  # noqa: F401, PLC0415
    from bot.frontends.telegram import frontend as telegram  # noqa: F401, PLC0415
    from bot.i18n import messages  # noqa: PLC0415
    from bot.runtime import app, event_loop, settings  # noqa: PLC0415  (heavy)
    from tests.fakes import discord_connector, telegram_app  # noqa: F401, PLC0415
    from tests.fakes.engine import FakeEngine  # noqa: PLC0415

    async def open_app_once(folder: str) -> None:
        chosen = settings.load(environment={}, flags={"studio.data": f"{folder}/data"})
        async with app.open_app(chosen, {}, FakeEngine()):
            pass

    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    for language in messages.languages():
        messages.translate("language", language)
    with tempfile.TemporaryDirectory() as folder:
        event_loop.run(open_app_once(folder))
    structlog.reset_defaults()
    gc.collect()
    gc.freeze()  # never scanned again, so these pages stay shared


def _serve(connection: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # monitors need no reaping
    while True:
        message, files, _, _ = socket.recv_fds(connection, MAX_MESSAGE_BYTES, 3)
        if not message:
            return
        if not os.fork():
            connection.close()
            _fork_and_wait(json.loads(message), *files)
        for file in files:
            os.close(file)


def _fork_and_wait(command: dict[str, Any], out: int, err: int, write_end: int) -> None:
    _die_with_parent()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if not pid:
        os.close(write_end)
        _run_child(command, out, err)
    for file in (out, err):
        os.close(file)
    os.write(write_end, f"{pid}\n".encode())
    os.write(write_end, f"{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n".encode())
    os._exit(0)


def _run_child(command: dict[str, Any], out: int, err: int) -> None:
    _die_with_parent()
    os.setsid()
    for file, number in ((os.open(os.devnull, os.O_RDONLY), 0), (out, 1), (err, 2)):
        os.dup2(file, number)
        os.close(file)
    code = 1
    try:
        code = _run_module(command)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)  # never continue as the server


def _run_module(command: dict[str, Any]) -> int:
    try:
        os.chdir(command["folder"])
        os.environ.clear()
        os.environ.update(command["environment"])
        sys.argv[1:] = command["arguments"]
        runpy.run_module(command["module"], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  (printed for the caller)
        traceback.print_exc()
        return 1
    return 0


def _die_with_parent() -> None:
    """On Linux, kill this process when its parent ends."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    _preload_modules()
    _serve(socket.socket(fileno=os.dup(0)))
