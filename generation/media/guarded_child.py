"""The child of a GuardedReader: limits itself, opens one file of a user, prints what it found and ends.

`python -m generation.media.guarded_child QUESTION`, where QUESTION is JSON. Everything is imported after the
limits are set, and only what this one kind of file needs.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

TOO_COSTLY = "too costly"
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000


def main() -> None:
    question = json.loads(sys.argv[1])
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # libraries may print
    _limit_this_process(**question["limits"])
    _leave_the_network()
    out.write(json.dumps(_answer(question["kind"], Path(question["path"]), question["target"])))
    out.flush()
    os._exit(0)  # without destructors of libraries, which have work to do only in a process that goes on


def _limit_this_process(*, memory: int, cpu_seconds: int, wall_seconds: float, written_bytes: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, wall_seconds)  # ends this process even if its parent is gone
    os.nice(5)
    limits = {
        "RLIMIT_AS": memory,
        "RLIMIT_CPU": cpu_seconds,
        "RLIMIT_FSIZE": written_bytes,
        "RLIMIT_NOFILE": 64,
        "RLIMIT_CORE": 0,
    }
    for name, value in limits.items():
        with suppress(ValueError, OSError, AttributeError):  # not every system has every limit
            resource.setrlimit(getattr(resource, name), (value, value))


def _leave_the_network() -> None:
    """Where the kernel allows it, go on without any network."""
    if sys.platform != "linux":
        return
    import ctypes  # noqa: PLC0415  (only on Linux)

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).unshare(CLONE_NEWUSER | CLONE_NEWNET)


def _answer(kind: str, path: Path, target: str) -> dict[str, Any]:
    try:
        return {"found": _READERS[kind](path, target)}
    except MemoryError:
        return {"refused": TOO_COSTLY}
    except Exception as error:  # noqa: BLE001  (any error is sent to the parent)
        refused = getattr(error, "reason", None)
        if type(error).__name__ == "AttachmentRefused" and isinstance(refused, str):
            return {"refused": refused}
        if isinstance(error, OSError) and error.errno == errno.EFBIG:
            return {"refused": TOO_COSTLY}
        return {"error": f"{type(error).__name__}: {error}"[:500]}


def _clean_picture(path: Path, target: str) -> tuple[int, int]:
    from generation.media.picture_decode import write_clean_png  # noqa: PLC0415  (after the limits)

    return write_clean_png(path, Path(target))


def _picture_size(path: Path, _target: str) -> tuple[int, int]:
    from generation.media.picture_decode import decode_picture  # noqa: PLC0415  (after the limits)

    return decode_picture(path).size


def _sound(path: Path, _target: str) -> None:
    from generation.media.audio_decode import check_audio_file  # noqa: PLC0415  (after the limits)

    check_audio_file(path)


def _clip(path: Path, _target: str) -> Any:
    from generation.errors import AttachmentRefused, EncodeFailed  # noqa: PLC0415  (after the limits)
    from generation.media.format_checks import check_mp4  # noqa: PLC0415  (after the limits)
    from generation.media.probe import clip_from_file  # noqa: PLC0415  (after the limits)

    try:
        check_mp4(path.read_bytes())
        return clip_from_file(path).to_json()
    except (EncodeFailed, OSError, ArithmeticError) as error:
        raise AttachmentRefused(path.name, "not a clip") from error


def _recipe(path: Path, _target: str) -> dict[str, Any] | None:
    from generation.media.format_checks import check_mp4  # noqa: PLC0415  (after the limits)
    from generation.media.image_metadata import is_still  # noqa: PLC0415  (after the limits)
    from generation.media.provenance import read_recipe  # noqa: PLC0415  (after the limits)

    data = path.read_bytes()
    if not is_still(data):
        check_mp4(data)
    found = read_recipe(path)
    return None if found is None else found.to_json()


_READERS: dict[str, Callable[[Path, str], Any]] = {
    "clean picture": _clean_picture,
    "picture size": _picture_size,
    "sound": _sound,
    "clip": _clip,
    "recipe": _recipe,
}


if __name__ == "__main__":
    main()
