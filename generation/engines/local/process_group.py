"""Ending a process with all that it started: on Linux its whole session, elsewhere its process group."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_KILL_TIMEOUT = (
    5.0  # seconds; only a process in uninterruptible sleep outlives this, and nothing can end that
)


def session_members(session: int) -> list[int]:
    """The living processes of a session, from /proc; empty where there is none."""
    found = []
    for entry in _PROC.iterdir() if _PROC.is_dir() else ():
        if entry.name.isdecimal():
            with suppress(OSError, IndexError):
                state, _, _, owner = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
                if int(owner) == session and state not in "ZX":
                    found.append(int(entry.name))
    return found


def kill_session(session: int, *, except_pid: int | None = None) -> None:
    """Kill every member, also those that are being born meanwhile; `spare` is left alone."""
    if not sys.platform.startswith("linux"):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(session, signal.SIGKILL)
        return
    until = time.monotonic() + _KILL_TIMEOUT
    while (
        left := [pid for pid in session_members(session) if pid != except_pid]
    ) and time.monotonic() < until:
        for pid in left:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)
