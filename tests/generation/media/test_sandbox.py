"""The process that opens a stranger's file: what it cannot reach, and what holds where the kernel refuses."""

from __future__ import annotations

import json
import platform
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bot.cli.doctor import Verdict, opened_files
from generation.errors import AttachmentRefused
from generation.media.guarded_process import isolation_of_this_machine, read_frames, read_picture, read_sound
from generation.media.sandbox import Isolation
from tests.fakes.wav_samples import wav_bytes

linux = pytest.mark.skipif(sys.platform != "linux", reason="these limits are those of Linux")

ATTEMPTS = """
import ctypes, json, os, signal, socket, sys, threading
from pathlib import Path
from generation.media.sandbox import Limits, enter

own, other, target = map(Path, sys.argv[1:4])
parent = os.getppid()
isolation = enter(Limits(), readable=[own], writable=target)

def succeeds(act):
    try:
        act()
    except OSError:
        return False
    return True

def thread():
    one = threading.Thread(target=int)
    one.start()
    one.join()

print(json.dumps({
    "reads its file": succeeds(own.read_bytes),
    "writes its target": succeeds(lambda: target.write_bytes(b"x")),
    "starts a thread": succeeds(thread),
    "loads a library": succeeds(lambda: __import__("av")),
    "reads another file": succeeds(other.read_bytes),
    "writes its file": succeeds(lambda: own.write_bytes(b"x")),
    "creates a file": succeeds(lambda: other.with_name("new").touch()),
    "deletes a file": succeeds(other.unlink),
    "reads the environment of its parent": succeeds(Path(f"/proc/{parent}/environ").read_bytes),
    "signals its parent": succeeds(lambda: os.kill(parent, 0)),
    "forks": succeeds(lambda: os.fork() or os._exit(0)),
    "starts a program": succeeds(lambda: os.execv("/bin/true", ["true"])),
    "connects": succeeds(lambda: socket.create_connection(("127.0.0.1", int(sys.argv[4])), 1)),
    "sends a datagram": succeeds(lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"", ("127.0.0.1", 9))),
    "missing": isolation.missing(),
}))
"""
REFUSING_KERNEL = """
import ctypes, struct
libc = ctypes.CDLL(None, use_errno=True)
refused = (272, 444, 445, 446)  # unshare and Landlock
code = [(0x20, 0, 0, 0)]
code += [(0x15, len(refused) + 2 - at, 0, number) for at, number in enumerate(refused)]
code += [(0x15, 0, 3, 157), (0x20, 0, 0, 16), (0x15, 0, 1, 22)]  # prctl(PR_SET_SECCOMP)
code += [(0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7FFF0000)]
program = b"".join(struct.pack("=HBBI", *one) for one in code)
kept = ctypes.create_string_buffer(program, len(program))
libc.prctl(38, 1, 0, 0, 0)
assert libc.prctl(22, 2, struct.pack("@HP", len(code), ctypes.addressof(kept)), 0, 0) == 0
"""
ENGINE = """
import sys
from pathlib import Path
from generation.music.track import Track
from generation.models.common.first_frames import last_frames
from generation.request import Music
from generation.errors import AttachmentRefused
from generation.media.guarded_process import read_picture
folder = Path(sys.argv[1])
music = Music(genre="lofi", mood="calm", seed=1, maker="track", track=str(folder / "a.wav"))
Track(None).compose(music, 48_000, 48_000, lambda done, total: None)
assert read_picture(folder / "a.png").size == (64, 32)
print(sorted({"av", "PIL.PngImagePlugin", "PIL.JpegImagePlugin"} & set(sys.modules)))
"""


def run(program: str, *arguments: object) -> str:
    """The output of a Python process of its own."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  (our own code)
    assert done.returncode == 0, done.stderr
    return done.stdout


@linux
def test_the_process_reaches_only_its_file(tmp_path: Path) -> None:
    missing = isolation_of_this_machine().missing()
    if missing:
        pytest.skip(f"this kernel does not offer {missing}")
    own, other = tmp_path / "own", tmp_path / "other"
    own.write_bytes(b"own")
    other.write_bytes(b"other")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = json.loads(run(ATTEMPTS, own, other, tmp_path / "target", port))
    assert not found.pop("missing")
    allowed = ("reads its file", "writes its target", "starts a thread", "loads a library")
    assert [name for name, succeeded in found.items() if succeeded] == list(allowed)
    assert own.read_bytes() == b"own"
    assert other.exists()


@linux
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the refusing filter has the numbers of x86_64")
def test_a_kernel_that_refuses_leaves_the_limits_of_memory_and_time(tmp_path: Path) -> None:
    program = ATTEMPTS.replace('os.execv("/bin/true", ["true"])', "0").replace("other.unlink", "int")
    own = tmp_path / "own"
    own.write_bytes(b"own")
    found = json.loads(run(REFUSING_KERNEL + program, own, own, tmp_path / "target", 9).splitlines()[-1])
    assert found["missing"] == ["network", "files", "processes"]
    assert found["reads its file"]
    assert found["writes its target"]


def test_doctor_names_what_holds_and_what_does_not() -> None:
    good = opened_files(Isolation(limits=True, network=True, files=True, processes=True))
    assert good.verdict is Verdict.GOOD
    assert "cannot" not in good.detail
    partly = opened_files(Isolation(limits=True, network=False, files=True, processes=True))
    assert partly.verdict is Verdict.LEFT_OUT
    assert partly.detail.endswith("this system cannot keep it from the network")
    assert isolation_of_this_machine().limits


def test_the_engine_opens_files_of_users_only_in_such_a_process(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(wav_bytes())
    Image.new("RGB", (64, 32), "red").save(tmp_path / "a.png")
    assert run(ENGINE, tmp_path).strip() == "[]", "no decoder was loaded into the engine's process"


def test_pictures_and_sounds_arrive_as_they_are(tmp_path: Path) -> None:
    picture = Image.effect_noise((301, 203), 80).convert("RGB")
    picture.save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png").tobytes() == picture.tobytes()
    (tmp_path / "a.wav").write_bytes(wav_bytes())
    sound = read_sound(tmp_path / "a.wav", longest=0.5)
    assert sound.samples.shape == (24_000, 2)
    assert sound.samples.dtype == np.float32
    assert np.abs(sound.samples).max() > 0.01


def test_a_file_that_is_no_clip_has_no_frames(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no clip")
    with pytest.raises(AttachmentRefused, match="not a clip"):
        read_frames(tmp_path / "a.mp4")
