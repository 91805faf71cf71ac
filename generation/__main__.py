"""The engine process: reads orders as JSON lines; writes progress, clips and errors."""

from __future__ import annotations

import asyncio
import ctypes
import faulthandler
import os
import signal
import sys
from contextlib import suppress

from generation.engines.local.host import Host, ParentPipe, exit_now

_PR_SET_PDEATHSIG = 1


def _ignore_signal(*_: object) -> None:
    """The parent ends this process, or it ends with the parent. Not SIG_IGN, which ffmpeg would inherit."""


def main() -> None:
    parent = ParentPipe()
    faulthandler.enable()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _ignore_signal)
    if sys.platform.startswith("linux"):
        with suppress(OSError, AttributeError):  # a stopped process is woken up when its parent ends
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGCONT)
    with suppress(ConnectionError):  # the pipes may be sockets, which can fail in more ways
        asyncio.run(Host(parent).serve())
    sys.stderr.flush()
    exit_now()


if __name__ == "__main__":
    assert os.getsid(0) == os.getpid(), "only the engine starts this process, in a session of its own"
    main()
