"""The child process: orders in by JSON lines; progress, clips and errors out."""

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
    """The child ends by the parent's word or with the parent. Not SIG_IGN, which ffmpeg would inherit."""


def main() -> None:
    line = ParentPipe()
    faulthandler.enable()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _ignore_signal)
    if sys.platform.startswith("linux"):
        with suppress(OSError, AttributeError):  # a stopped child wakes to see that its parent is gone
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGCONT)
    with suppress(ConnectionError):  # our pipes may be sockets, which break in more ways
        asyncio.run(Host(line).serve())
    sys.stderr.flush()
    exit_now()


if __name__ == "__main__":
    assert os.getsid(0) == os.getpid(), "the engine's child is started by the engine, in a session of its own"
    main()
