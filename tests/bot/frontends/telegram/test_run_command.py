"""`matinee run` against a loopback Telegram: a prompt becomes a real MP4."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from io import BytesIO
from pathlib import Path

import av

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
