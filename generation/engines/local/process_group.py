"""Kill a process and its descendants: its whole session on Linux, its process group elsewhere."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_KILL_TIMEOUT = 5.0
"""Seconds; only a process in uninterruptible sleep survives longer, and nothing can end that."""


def session_members(session: int) -> list[int]:
    """The running processes of a session, from /proc; empty if there is no /proc."""
    found = []
    for entry in _PROC.iterdir() if _PROC.is_dir() else ():
        if entry.name.isdecimal():
            with suppress(OSError, IndexError):
                state, _, _, owner = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
                if int(owner) == session and state not in "ZX":
                    found.append(int(entry.name))
    return found


def kill_session(session: int, *, except_pid: int | None = None) -> None:
    """Kill every member except `except_pid`, including those that are forked meanwhile."""
    if not sys.platform.startswith("linux"):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(session, signal.SIGKILL)
        return
    deadline = time.monotonic() + _KILL_TIMEOUT
    while (
        members := [pid for pid in session_members(session) if pid != except_pid]
    ) and time.monotonic() < deadline:
        for pid in members:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)
