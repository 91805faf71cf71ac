"""Files of users are opened in child processes: hostile ones are refused quickly and cost the bot nothing."""

from __future__ import annotations

import asyncio
import io
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from PIL import Image

from generation.errors import AttachmentRefused
from generation.media.format_checks import check_mp4, check_picture, check_sound
from generation.media.guarded_reader import GuardedReader
from generation.media.sandbox import Limits as ReadLimits
from tests.bot.app_harness import wait_until
from tests.fakes import hostile_files
from tests.fakes.wav_samples import wav_bytes

Read = Callable[[GuardedReader, Path], Awaitable[object]]
READERS: dict[str, Read] = {
    "picture": lambda reader, path: reader.clean_picture(path, path.with_suffix(".clean"), "my file"),
    "sound": lambda reader, path: reader.check_sound(path, "my file"),
    "recipe": lambda reader, path: reader.read_recipe(path, "my file"),
}
HOSTILE = [
    *(("picture", name) for name in hostile_files.PICTURES),
    *(("sound", name) for name in hostile_files.SOUNDS),
    *(("recipe", name) for name in hostile_files.RECIPES),
]
FILES = {**hostile_files.PICTURES, **hostile_files.SOUNDS, **hostile_files.RECIPES}


def answering(program: str) -> tuple[str, ...]:
    """A child that runs `program` instead of opening a file."""
    return (sys.executable, "-c", program)


@pytest.mark.parametrize(("kind", "name"), HOSTILE, ids=[name for _, name in HOSTILE])
async def test_a_hostile_file_is_refused_before_it_costs_much(kind: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(FILES[name])
    limits = ReadLimits(memory=600_000_000, cpu_seconds=3)
    reading = READERS[kind](GuardedReader(limits=limits), path)
    if name == "deep json":
        assert await reading is None, "it is opened, and has no recipe"
        return
    with pytest.raises(AttachmentRefused, match="my file"):
        await reading


OTHERS = [
    *(("picture", name) for name in hostile_files.OTHER_PICTURES),
    *(("sound", name) for name in hostile_files.OTHER_SOUNDS),
]


@pytest.mark.parametrize(("kind", "name"), OTHERS, ids=[name for _, name in OTHERS])
async def test_other_formats_and_bombs_are_refused(kind: str, name: str, tmp_path: Path) -> None:
    files = hostile_files.OTHER_PICTURES if kind == "picture" else hostile_files.OTHER_SOUNDS
    path = tmp_path / "file"
    path.write_bytes(files[name])
    with pytest.raises(AttachmentRefused, match="my file"):
        await READERS[kind](GuardedReader(limits=ReadLimits(memory=600_000_000, cpu_seconds=3)), path)


async def test_no_playlist_makes_the_bot_open_an_address(tmp_path: Path) -> None:
    connections: list[object] = []
    server = await asyncio.start_server(lambda *streams: connections.append(streams), "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/a.ts"
    for data in hostile_files.playlists(address).values():
        path = tmp_path / "file"
        path.write_bytes(data)
        with pytest.raises(AttachmentRefused):
            await GuardedReader().check_sound(path, "my song")
        assert await GuardedReader().read_recipe(path, "my clip") is None
    assert not connections
    server.close()
    await server.wait_closed()


async def test_a_file_that_is_also_an_archive_becomes_a_picture_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(hostile_files.encoded("JPEG") + b"PK\x03\x04 an archive")
    await GuardedReader().clean_picture(path, tmp_path / "clean.png", "my file")
    assert b"PK" not in (tmp_path / "clean.png").read_bytes()


def test_the_known_attacks_are_found_without_a_decoder() -> None:
    for name in ("flac of 25 Hz", "wav of 1 Hz", "wav of 30,000 channels", "mp4 of 80 million samples"):
        with pytest.raises(AttachmentRefused):
            check_sound(hostile_files.SOUNDS[name])
    for name in ("repeated scans", "huge png", "many chunks", "huge webp"):
        with pytest.raises(AttachmentRefused):
            check_picture(hostile_files.PICTURES[name])
    with pytest.raises(AttachmentRefused):
        check_mp4(hostile_files.mp4(durations=2_000_000_000))
    assert len(hostile_files.SOUNDS["flac of 25 Hz"]) <= 55


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"lossless": True}], ids=str)
def test_usual_pictures_pass_the_checks(kind: str, options: dict[str, bool]) -> None:
    data = io.BytesIO()
    Image.effect_noise((301, 203), 80).convert("RGB").save(data, kind, **options)
    assert check_picture(data.getvalue()) == (301, 203)


async def test_a_usual_file_is_read(tmp_path: Path) -> None:
    reader, source = GuardedReader(), tmp_path / "a.jpg"
    Image.new("RGB", (64, 32), "red").save(source)
    assert await reader.clean_picture(source, tmp_path / "clean.png", "a.jpg") == (64, 32)
    assert await reader.picture_size(tmp_path / "clean.png", "clean.png") == (64, 32)
    (tmp_path / "a.wav").write_bytes(wav_bytes())
    await reader.check_sound(tmp_path / "a.wav", "a.wav")
    (tmp_path / "b.flac").write_bytes(hostile_files.flac(44_100))
    await reader.check_sound(tmp_path / "b.flac", "b.flac")


@pytest.mark.parametrize(
    ("program", "limits"),
    [
        ("import time; time.sleep(60)", ReadLimits(wall_seconds=0.2)),
        ("import os; os.abort()", ReadLimits()),
        ("print('no json')", ReadLimits()),
        ("print('[1]')", ReadLimits()),
        ("while True: print('x' * 10_000)", ReadLimits()),
    ],
    ids=["hangs", "crashes", "answers nonsense", "answers another type", "answers without end"],
)
async def test_a_child_that_fails_is_a_refused_file(program: str, limits: ReadLimits, tmp_path: Path) -> None:
    with pytest.raises(AttachmentRefused) as caught:
        await GuardedReader(limits=limits, command=answering(program)).check_sound(tmp_path / "a", "my song")
    assert (caught.value.name, caught.value.reason) == ("my song", "too costly")


@pytest.mark.parametrize("limits", [ReadLimits(memory=60_000_000), ReadLimits(wall_seconds=0.01)], ids=str)
async def test_the_limits_hold_in_the_child(limits: ReadLimits, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (4_000, 3_900)).save(path)
    with pytest.raises(AttachmentRefused):
        await GuardedReader(limits=limits).picture_size(path, "a.png")


async def test_the_child_sees_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCORD_TOKEN", "secret one")
    monkeypatch.setenv("ANYTHING_ELSE", "secret two")
    seen = tmp_path / "seen.json"
    program = f"import json, os; open({str(seen)!r}, 'w').write(json.dumps(dict(os.environ)))"
    with pytest.raises(AttachmentRefused):
        await GuardedReader(command=answering(program)).check_sound(tmp_path / "a", "a")
    assert "secret" not in seen.read_text()
    assert "PATH" in json.loads(seen.read_text())


async def test_a_full_queue_refuses_the_next_file(tmp_path: Path) -> None:
    reader = GuardedReader(workers=1, waiting=1, command=answering("import time; time.sleep(60)"))
    waiting = [asyncio.create_task(reader.check_sound(tmp_path / "a", "a")) for _ in range(2)]
    await asyncio.sleep(0.1)
    with pytest.raises(AttachmentRefused) as caught:
        await reader.check_sound(tmp_path / "b", "b")
    assert caught.value.reason == "busy"
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_cancelled_read_ends_its_child(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    program = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    task = asyncio.create_task(GuardedReader(command=answering(program)).check_sound(tmp_path / "a", "a"))
    await wait_until(lambda: pid.is_file() and pid.read_text())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
