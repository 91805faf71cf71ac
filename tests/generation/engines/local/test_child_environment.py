"""Child processes get an allow-listed environment: no token of the bot reaches one of them."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from generation.child_environment import child_environment
from generation.engines.local.process_group import session_members
from generation.media import ffmpeg as ffmpegs
from generation.media.nsfw_process import NsfwProcess
from generation.order import Order
from tests.generation.engines.local.conftest import MakeEngine, ProgressRecorder

MakeOrder = Callable[..., Order]
SECRETS = {
    "DISCORD_TOKEN": "discord-secret",
    "TELEGRAM_TOKEN": "telegram-secret",
    "HF_TOKEN": "hf-secret",
    "HUGGING_FACE_HUB_TOKEN": "hub-secret",
    "MATINEE_TELEGRAM_WEBHOOK_SECRET": "webhook-secret",
    "AWS_SECRET_ACCESS_KEY": "aws-secret",
    "PYTHON_KEYRING_PASSWORD": "keyring-secret",
    "DATABASE_URL": "postgres://me:database-secret@host",
}
NEEDED = {
    "CUDA_VISIBLE_DEVICES": "0",
    "TORCHINDUCTOR_CACHE_DIR": "/tmp/inductor",  # noqa: S108  (only a value)
    "HF_HOME": "/tmp/hub",  # noqa: S108
    "HF_HUB_CACHE": "/tmp/hub/cache",  # noqa: S108
    "OMP_NUM_THREADS": "1",
    "LC_ALL": "C.UTF-8",
    "TOKENIZERS_PARALLELISM": "false",
    "https_proxy": "http://proxy:3128",
    "LD_LIBRARY_PATH": "/opt/cuda/lib",
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**SECRETS, **NEEDED}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TMPDIR", os.environ.get("TMPDIR", "/tmp"))  # noqa: S108


def environment_of(pid: int) -> dict[str, str]:
    """What the kernel shows of a process, as an attacker inside it or beside it would read it."""
    return dict(
        line.split("=", 1)
        for line in Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
        if "=" in line
    )


def check(environment: dict[str, str]) -> None:
    assert SECRETS.keys() & environment.keys() == set()
    assert "secret" not in "".join(environment.values())
    assert {name: environment.get(name) for name in NEEDED} == NEEDED
    assert {"PATH", "HOME", "TMPDIR"} <= environment.keys()


async def test_the_engine_and_its_ffmpeg_see_no_secret(
    make_engine: MakeEngine, make_order: MakeOrder, tmp_path: Path
) -> None:
    ffmpeg = tmp_path / "ffmpeg"  # the real one, which waits so that its environment can be read
    ffmpeg.write_text(
        '#!/bin/sh\ncase "$*" in *-encoders*) ;;\n'
        f"*) while ! [ -e {tmp_path}/go ]; do sleep 0.05; done;; esac\n"
        f'exec {ffmpegs.find().path} "$@"\n'
    )
    ffmpeg.chmod(0o755)
    engine = make_engine(ffmpeg=str(ffmpeg))
    render = asyncio.create_task(engine.render(make_order(frames=4), ProgressRecorder()))
    try:
        encoder = await wait_for_ffmpeg(lambda: engine.pid)
        assert engine.pid is not None
        check(environment_of(engine.pid))
        check(environment_of(encoder))
    finally:
        (tmp_path / "go").touch()
    assert (await render).frames == 4


async def wait_for_ffmpeg(session: Callable[[], int | None]) -> int:
    async with asyncio.timeout(60):
        while True:
            for pid in session_members(session() or -1):
                with suppress(psutil.Error):
                    if any(part.endswith("/ffmpeg") for part in psutil.Process(pid).cmdline()):
                        return pid
            await asyncio.sleep(0.02)


class EndlessStream:
    """Reads raw frames from stdin and writes none."""

    def compile(self, cmd: str) -> list[str]:
        raw = "-f rawvideo -pixel_format rgb24 -video_size 2x2 -framerate 8"
        return [cmd, *raw.split(), "-i", "pipe:0", "-f", "null", "-"]


async def test_ffmpeg_in_the_bots_own_process_sees_no_secret() -> None:
    """The bot itself starts ffmpeg to fit a clip under a chat's limit."""
    seen = threading.Event()

    def frames() -> Iterator[bytes]:
        yield bytes(12)
        seen.wait(60)

    running = asyncio.create_task(
        ffmpegs.run(ffmpegs.find(), EndlessStream(), stage="fit", feed=frames(), stall=60)
    )
    try:
        async with asyncio.timeout(60):
            while not (found := [p for p in psutil.Process().children() if "rawvideo" in p.cmdline()]):  # noqa: ASYNC110  (no event tells when it has started)
                await asyncio.sleep(0.02)
        check(environment_of(found[0].pid))
    finally:
        seen.set()
        await running


async def test_the_inspection_process_sees_neither_secrets_nor_the_gpu() -> None:
    program = (
        "import sys, json\n"
        "for line in sys.stdin:\n"
        "    print(json.dumps({'label': 'x', 'certainty': 1.0, 'frame': 0}), flush=True)\n"
    )
    process = NsfwProcess(command=(sys.executable, "-c", program))
    await process.inspect(Path("clip.mp4"))
    assert process.pid is not None
    environment = environment_of(process.pid)
    await process.close()
    assert environment["CUDA_VISIBLE_DEVICES"] == ""
    check(environment | {"CUDA_VISIBLE_DEVICES": "0"})


@pytest.mark.parametrize(
    ("name", "passes"),
    [
        ("HF_TOKEN", False),
        ("hf_token", False),
        ("TORCH_API_KEY", False),
        ("CUDA_AUTH", False),
        ("GITHUB_PAT", False),
        ("SOMETHING_UNKNOWN", False),
        ("MATINEE_STUDIO_DATA", False),
        ("SSH_AUTH_SOCK", False),
        ("TOKENIZERS_PARALLELISM", True),
        ("no_proxy", True),
        ("MATINEE_FAILPOINTS", True),
        ("PYTORCH_CUDA_ALLOC_CONF", True),
    ],
)
def test_a_variable_passes_only_if_it_is_listed_and_names_no_secret(name: str, *, passes: bool) -> None:
    environment: dict[str, Any] = child_environment({name: "x"})
    assert (name in environment) is passes
