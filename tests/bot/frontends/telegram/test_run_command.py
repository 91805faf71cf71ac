"""`matinee run` against a loopback Telegram: a prompt becomes a real MP4."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from io import BytesIO
from pathlib import Path

import av

from generation.media.signing_identity import load_or_create_identity
from tests.fakes.telegram_server import TelegramServer
from tests.fakes.telegram_users import TelegramUser


async def test_run_command_turns_a_prompt_into_a_clip(
    server: TelegramServer, ada: TelegramUser, tmp_path: Path
) -> None:
    settings = {
        "TELEGRAM_TOKEN": server.token,
        "MATINEE_TELEGRAM_API": server.url,
        "MATINEE_STUDIO_DATA": str(tmp_path / "data"),
        "MATINEE_STUDIO_MODEL": "testcard",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path.cwd()),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", "run", cwd=tmp_path, env=os.environ | settings,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        await server.wait_until(lambda: server.polls, within=60)
        await ada.writes("/video a fox in the snow #lofi 1s seed=7")
        clip = await ada.receives("video", within=90)
        assert "a fox in the snow" in clip.text
        with av.open(BytesIO(server.world.files[clip.file_id])) as container:
            kinds = [(stream.type, stream.codec_context.name) for stream in container.streams]
            facts = clip.media["video"]
            assert (facts["width"], facts["height"]) == (
                container.streams.video[0].width,
                container.streams.video[0].height,
            )
        assert sorted(kinds) == [("audio", "aac"), ("video", "h264")]
        assert len(server.world.files[facts["thumbnail"]["file_id"]]) < 200_000
    finally:
        process.send_signal(signal.SIGTERM)
        output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
    assert server.token not in output.decode()
    assert "a fox in the snow" not in output.decode(), "prompts are logged only if the operator asks for it"


async def test_run_command_keeps_its_files_from_other_users(
    server: TelegramServer, ada: TelegramUser, tmp_path: Path
) -> None:
    """Whatever the umask was, and also the files that an earlier version left readable."""
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    load_or_create_identity(data)
    keys = [path for path in data.rglob("*") if path.is_file()]
    old = [data / name for name in ("backups/matinee-20260101T000000Z.db", "clips/7/clip.mp4")]
    for path in old:
        path.parent.mkdir(parents=True, mode=0o755)
        path.write_bytes(b"old")
    for path in (*old, *keys):
        path.chmod(0o644)
    link = data / "clips" / "elsewhere"
    outside = tmp_path / "outside.txt"
    outside.write_text("not ours")
    outside.chmod(0o644)
    link.symlink_to(outside)
    settings = {
        "TELEGRAM_TOKEN": server.token,
        "MATINEE_TELEGRAM_API": server.url,
        "MATINEE_STUDIO_DATA": str(data),
        "MATINEE_STUDIO_MODEL": "testcard",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path.cwd()),
    }
    before = os.umask(0o022)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", "run", cwd=tmp_path, env=os.environ | settings,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    os.umask(before)
    try:
        await server.wait_until(lambda: server.polls, within=60)
        await ada.writes("/video a fox in the snow #lofi 1s seed=7")
        await ada.receives("video", within=90)
        found = {path for path in (data, *data.rglob("*")) if not path.is_symlink()}
        readable = {str(path) for path in found if path.lstat().st_mode & 0o077}
        assert readable == set()
        assert {*old, *keys, data / "matinee.db", data / "matinee.db-wal"} <= found
        assert (data / "clips" / "1" / "clip.mp4") in found
        assert outside.stat().st_mode & 0o777 == 0o644
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), 60)
