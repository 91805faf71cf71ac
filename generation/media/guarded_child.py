"""The child of a guarded read: enters the sandbox, opens one file of a user, prints what it found and ends.

`python guarded_child.py QUESTION`, where QUESTION is JSON. It lowers its priority first. Libraries are
imported inside the sandbox, and only those that one kind of file needs. The output is blocks of bytes, each
after its length in four bytes, then a length of 0 and the answer as JSON.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

NICENESS = 5
TOO_COSTLY = "too costly"
BLOCK_BYTES = 1 << 20
ISOLATION = "isolation"

Send = Callable[[bytes], None]


def main() -> None:
    _lower_priority()
    from generation.media import sandbox  # noqa: PLC0415  (takes time)

    question = json.loads(sys.argv[1])
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # libraries may print

    def send(data: bytes) -> None:
        for at in range(0, len(data), BLOCK_BYTES):
            block = data[at : at + BLOCK_BYTES]
            out.write(len(block).to_bytes(4) + block)

    path, target = Path(question["path"]), question["target"]
    isolation = sandbox.enter(
        sandbox.Limits(**question["limits"]),
        readable=[path] if question["path"] else [],
        writable=Path(target) if target else None,
    )
    question["isolation"] = isolation.to_json()
    answer = _answer(question["kind"], path, question, send)
    out.write(bytes(4) + json.dumps(answer).encode())
    out.flush()
    os._exit(0)  # without destructors of libraries, which have work to do only in a process that goes on


def _lower_priority() -> None:
    """Take no time from the bot, and leave its terminal, whose Ctrl-C must not end this process.

    Linux may share the cores equally between sessions, whatever the nice value of their processes.
    """
    os.nice(NICENESS)
    try:
        os.setsid()
        Path("/proc/self/autogroup").write_text(str(NICENESS), encoding="ascii")
    except OSError:
        return


def _answer(kind: str, path: Path, question: dict[str, Any], send: Send) -> dict[str, Any]:
    try:
        return {"found": _READERS[kind](path, question, send)}
    except MemoryError:
        return {"refused": TOO_COSTLY}
    except Exception as error:  # noqa: BLE001  (any error is sent to the parent)
        refused = getattr(error, "reason", None)
        if type(error).__name__ == "AttachmentRefused" and isinstance(refused, str):
            return {"refused": refused}
        if isinstance(error, OSError) and error.errno == errno.EFBIG:
            return {"refused": TOO_COSTLY}
        return {"error": f"{type(error).__name__}: {error}"[:500]}


def _isolation(_path: Path, question: dict[str, Any], _send: Send) -> Any:
    """What the sandbox keeps from this process; loads every library, because it must not keep those."""
    import av  # noqa: F401, PLC0415  (inside the sandbox)
    from PIL import JpegImagePlugin, PngImagePlugin, WebPImagePlugin  # noqa: F401, PLC0415

    return question["isolation"]


def _clean_picture(path: Path, question: dict[str, Any], _send: Send) -> tuple[int, int]:
    from generation.media.picture_decode import write_clean_png  # noqa: PLC0415  (inside the sandbox)

    return write_clean_png(path, Path(question["target"]))


def _picture_size(path: Path, _question: dict[str, Any], _send: Send) -> tuple[int, int]:
    from generation.media.picture_decode import decode_picture  # noqa: PLC0415  (inside the sandbox)

    return decode_picture(path).size


def _picture(path: Path, _question: dict[str, Any], send: Send) -> tuple[int, int]:
    from generation.media.picture_decode import decode_picture  # noqa: PLC0415  (inside the sandbox)

    picture = decode_picture(path)
    send(picture.tobytes())
    return picture.size


def _check_sound(path: Path, _question: dict[str, Any], _send: Send) -> None:
    from generation.media.audio_decode import check_audio_file  # noqa: PLC0415  (inside the sandbox)

    check_audio_file(path)


def _sound(path: Path, question: dict[str, Any], send: Send) -> None:
    from generation.media.audio_decode import decode_audio  # noqa: PLC0415  (inside the sandbox)

    for samples in decode_audio(path, longest=question["longest"]):
        send(samples)


def _clip(path: Path, _question: dict[str, Any], _send: Send) -> Any:
    from generation.errors import AttachmentRefused, EncodeFailed  # noqa: PLC0415  (inside the sandbox)
    from generation.media.format_checks import check_mp4  # noqa: PLC0415  (inside the sandbox)
    from generation.media.probe import clip_from_file  # noqa: PLC0415  (inside the sandbox)

    try:
        check_mp4(path.read_bytes())
        return clip_from_file(path).to_json()
    except (EncodeFailed, OSError, ArithmeticError) as error:
        raise AttachmentRefused(path.name, "not a clip") from error


def _frames(path: Path, question: dict[str, Any], send: Send) -> dict[str, Any]:
    """Sends the last frames of a clip as RGB, all of them if `last` is None."""
    from generation.errors import AttachmentRefused, EncodeFailed  # noqa: PLC0415  (inside the sandbox)
    from generation.media.format_checks import check_mp4  # noqa: PLC0415  (inside the sandbox)
    from generation.media.probe import decoded_frames  # noqa: PLC0415  (inside the sandbox)

    try:
        check_mp4(path.read_bytes())
        frames, fps = decoded_frames(path, last=question["last"])
        size = None
        for frame in frames:
            size = frame.shape
            send(frame.tobytes())
    except (EncodeFailed, OSError, ArithmeticError, IndexError, ValueError) as error:
        raise AttachmentRefused(path.name, "not a clip") from error
    if size is None:
        raise AttachmentRefused(path.name, "not a clip")
    return {"height": size[0], "width": size[1], "fps": fps()}


def _recipe(path: Path, _question: dict[str, Any], _send: Send) -> dict[str, Any] | None:
    from generation.media.format_checks import check_mp4  # noqa: PLC0415  (inside the sandbox)
    from generation.media.image_metadata import is_still  # noqa: PLC0415  (inside the sandbox)
    from generation.media.provenance import read_recipe  # noqa: PLC0415  (inside the sandbox)

    data = path.read_bytes()
    if not is_still(data):
        check_mp4(data)
    found = read_recipe(path)
    return None if found is None else found.to_json()


_READERS: dict[str, Callable[[Path, dict[str, Any], Send], Any]] = {
    ISOLATION: _isolation,
    "clean picture": _clean_picture,
    "picture size": _picture_size,
    "picture": _picture,
    "check sound": _check_sound,
    "sound": _sound,
    "clip": _clip,
    "frames": _frames,
    "recipe": _recipe,
}


if __name__ == "__main__":
    main()
