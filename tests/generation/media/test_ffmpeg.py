"""Finding and running ffmpeg: clear errors, and no process or file left however a run ends."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Iterator
from pathlib import Path

import ffmpeg as build
import psutil
import pytest

from generation.errors import DiskFull, EncodeFailed, FfmpegMissing
from generation.media import ffmpeg as ffmpegs
from generation.media.ffmpeg import Ffmpeg, run
from generation.media.mux import mux
from tests.generation.media.conftest import file_names, moving_square, noise

pytestmark = pytest.mark.slow


def fake_ffmpeg(folder: Path, script: str) -> Ffmpeg:
    path = folder / "fake"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return Ffmpeg(str(path), "0", "configured")


def child_pids() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


def endless_frames() -> Iterator[bytes]:
    while True:
        yield bytes(64 * 64 * 3)


SOURCE = build.input("pipe:0", f="rawvideo", pix_fmt="rgb24", video_size=(64, 64), framerate=24)


def test_an_ffmpeg_is_found() -> None:
    assert ffmpegs.find().origin in {"system", "carried"}


def test_a_configured_ffmpeg_is_preferred(each_ffmpeg: Ffmpeg) -> None:
    assert each_ffmpeg.origin == "configured"
    assert each_ffmpeg.version != "unknown"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exit 1", "does not run"),
        ("echo ' V..... libx264 x'; echo 'ffmpeg version 6.0' >&2", "no aac"),
        (
            "echo ' V..... libx264 x'; echo ' A..... aac x'; echo 'ffmpeg version 4.4.2-0' >&2",
            "4.4.2-0 is older than 5.1",
        ),
    ],
)
def test_an_unusable_ffmpeg_is_named_with_the_reason(script: str, reason: str, tmp_path: Path) -> None:
    path = fake_ffmpeg(tmp_path, script).path
    with pytest.raises(FfmpegMissing) as caught:
        ffmpegs.find(path)
    assert path in caught.value.tried[0]
    assert reason in caught.value.tried[0]


@pytest.mark.parametrize("times", [1, 2])
def test_a_version_check_that_is_killed_is_retried_once(times: int, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    dies = f'echo >> {runs}; [ "$(wc -l < {runs})" -gt {times} ] || kill -9 $$; '
    path = fake_ffmpeg(tmp_path, f"{dies}echo ' V..... libx264 x'; echo ' A..... aac x'").path
    if times > 1:
        with pytest.raises(FfmpegMissing, match="does not run"):
            ffmpegs.find(path)
    else:
        assert ffmpegs.find(path).path == path


def test_a_missing_ffmpeg_is_named() -> None:
    with pytest.raises(FfmpegMissing) as caught:
        ffmpegs.find("/nowhere/ffmpeg")
    assert caught.value.tried == ("/nowhere/ffmpeg: not found",)


async def test_a_cancelled_run_leaves_no_process_and_no_file(each_ffmpeg: Ffmpeg, tmp_path: Path) -> None:
    before, started = child_pids(), asyncio.Event()
    frames = moving_square(600, 320, 240, 24.0)
    task = asyncio.create_task(
        mux(
            frames,
            noise(1.0),
            tmp_path / "clip.mp4",
            ffmpeg=each_ffmpeg,
            preset="placebo",
            on_progress=lambda _: started.set(),
        )
    )
    await asyncio.wait_for(started.wait(), 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert child_pids() <= before
    assert file_names(tmp_path) == []


async def test_a_deadline_ends_the_run(ffmpeg: Ffmpeg) -> None:
    before = child_pids()
    with pytest.raises(EncodeFailed):
        await run(
            ffmpeg, build.output(SOURCE, "-", f="null"), stage="encode", feed=endless_frames(), deadline=0.5
        )
    assert child_pids() <= before


async def test_a_hanging_ffmpeg_is_killed_with_its_children(tmp_path: Path) -> None:
    before = child_pids()
    hanging = fake_ffmpeg(tmp_path, "trap '' TERM\nsleep 600 &\nwait\nsleep 600")
    with pytest.raises(EncodeFailed):
        await run(
            hanging, build.output(SOURCE, "-", f="null"), stage="encode", feed=endless_frames(), stall=0.3
        )
    assert child_pids() <= before


@pytest.mark.parametrize("script", ["kill -9 $$", "head -c 100 >/dev/null; echo broken >&2; exit 3"])
async def test_a_killed_or_crashed_ffmpeg_raises_and_leaves_no_file(script: str, tmp_path: Path) -> None:
    folder = tmp_path / "job"
    folder.mkdir()
    with pytest.raises(EncodeFailed):
        await mux(moving_square(), None, folder / "clip.mp4", ffmpeg=fake_ffmpeg(tmp_path, script))
    assert file_names(folder) == []


async def test_success_without_an_output_file_is_a_failure(tmp_path: Path) -> None:
    folder = tmp_path / "job"
    folder.mkdir()
    fake = fake_ffmpeg(tmp_path, 'cat >/dev/null; for last; do :; done; : > "$last"')
    with pytest.raises(EncodeFailed):
        await mux(moving_square(), None, folder / "clip.mp4", ffmpeg=fake)
    assert file_names(folder) == []


async def test_a_full_disk_raises_disk_full_and_leaves_nothing(each_ffmpeg: Ffmpeg, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4.part").symlink_to("/dev/full")
    with pytest.raises(DiskFull):
        await mux(moving_square(), noise(1.0), tmp_path / "clip.mp4", ffmpeg=each_ffmpeg)
    assert file_names(tmp_path) == []


async def test_a_failing_frame_source_fails_the_run(ffmpeg: Ffmpeg) -> None:
    def broken() -> Iterator[bytes]:
        yield bytes(64 * 64 * 3)
        raise ZeroDivisionError

    before = child_pids()
    with pytest.raises(ZeroDivisionError):
        await run(ffmpeg, build.output(SOURCE, "-", f="null"), stage="encode", feed=broken())
    assert child_pids() <= before


async def test_the_event_loop_keeps_running_while_frames_are_fed(ffmpeg: Ffmpeg) -> None:
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counter = asyncio.create_task(count_turns())
    frames = [bytes(64 * 64 * 3)] * 200
    await run(ffmpeg, build.output(SOURCE, "-", f="null"), stage="encode", feed=frames)
    counter.cancel()
    assert turns > 100


async def test_a_failure_quotes_no_tag_of_a_file(each_ffmpeg: Ffmpeg, tmp_path: Path) -> None:
    """Tags of what it reads and writes are printed, a recipe is such a tag, and failures are logged."""
    source, target = tmp_path / "source.mp4", tmp_path / "target.mp4"
    tag = {"metadata:g:0": "comment=a very private prompt\nin two lines"}
    tagged = build.input("color=size=64x64:duration=0.2", f="lavfi").output(str(source), **tag)
    await run(each_ffmpeg, tagged, stage="encode")
    assert b"very private" in source.read_bytes()
    broken = build.input(str(source)).output(str(target), **{"filter:v": "crop=9999:9999"})
    with pytest.raises(EncodeFailed) as failure:
        await run(each_ffmpeg, broken, stage="encode")
    assert "private" not in failure.value.detail
    assert "two lines" not in failure.value.detail
    assert "crop" in failure.value.detail, "the reason itself is kept"
