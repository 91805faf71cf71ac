"""ffmpeg is found or its absence told; however a run ends, nothing of it is left."""

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
from tests.generation.media.conftest import left_in, moving, noise


def program(folder: Path, script: str) -> Ffmpeg:
    path = folder / "pretender"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return Ffmpeg(str(path), "0", "configured")


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


def endless() -> Iterator[bytes]:
    while True:
        yield bytes(64 * 64 * 3)


SOURCE = build.input("pipe:0", f="rawvideo", pix_fmt="rgb24", video_size=(64, 64), framerate=24)


def test_an_ffmpeg_is_always_found_here() -> None:
    assert ffmpegs.find().origin in {"system", "carried"}


def test_a_configured_one_wins(each_ffmpeg: Ffmpeg) -> None:
    assert each_ffmpeg.origin == "configured"
    assert each_ffmpeg.version != "unknown"


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("exit 1", "does not run"),
        ("echo ' V..... libx264 x'; echo 'ffmpeg version 6.0' >&2", "no aac"),
        (
            "echo ' V..... libx264 x'; echo ' A..... aac x'; echo 'ffmpeg version 4.4.2-0' >&2",
            "4.4.2-0 is older than 5.1",
        ),
    ],
)
def test_one_that_will_not_do_is_named_with_the_reason(script: str, why: str, tmp_path: Path) -> None:
    path = program(tmp_path, script).path
    with pytest.raises(FfmpegMissing) as caught:
        ffmpegs.find(path)
    assert path in caught.value.tried[0]
    assert why in caught.value.tried[0]


@pytest.mark.parametrize("times", [1, 2])
def test_one_that_somebody_kills_is_asked_again_once(times: int, tmp_path: Path) -> None:
    lives = tmp_path / "lives"
    dies = f'echo >> {lives}; [ "$(wc -l < {lives})" -gt {times} ] || kill -9 $$; '
    path = program(tmp_path, f"{dies}echo ' V..... libx264 x'; echo ' A..... aac x'").path
    if times > 1:
        with pytest.raises(FfmpegMissing, match="does not run"):
            ffmpegs.find(path)
    else:
        assert ffmpegs.find(path).path == path


def test_one_that_is_not_there_is_named() -> None:
    with pytest.raises(FfmpegMissing) as caught:
        ffmpegs.find("/nowhere/ffmpeg")
    assert caught.value.tried == ("/nowhere/ffmpeg: not found",)


async def test_a_cancelled_run_leaves_no_process_and_no_file(each_ffmpeg: Ffmpeg, tmp_path: Path) -> None:
    before, begun = children(), asyncio.Event()
    frames = moving(600, 320, 240, 24.0)
    task = asyncio.create_task(
        mux(
            frames,
            noise(1.0),
            tmp_path / "clip.mp4",
            ffmpeg=each_ffmpeg,
            preset="placebo",
            on_progress=lambda _: begun.set(),
        )
    )
    await asyncio.wait_for(begun.wait(), 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert children() <= before
    assert left_in(tmp_path) == []


async def test_a_deadline_ends_it(ffmpeg: Ffmpeg) -> None:
    before = children()
    with pytest.raises(EncodeFailed):
        await run(ffmpeg, build.output(SOURCE, "-", f="null"), stage="encode", feed=endless(), deadline=0.5)
    assert children() <= before


async def test_one_that_hangs_is_ended_with_all_it_started(tmp_path: Path) -> None:
    before = children()
    hanging = program(tmp_path, "trap '' TERM\nsleep 600 &\nwait\nsleep 600")
    with pytest.raises(EncodeFailed):
        await run(hanging, build.output(SOURCE, "-", f="null"), stage="encode", feed=endless(), stall=0.3)
    assert children() <= before


@pytest.mark.parametrize("script", ["kill -9 $$", "head -c 100 >/dev/null; echo broken >&2; exit 3"])
async def test_one_that_is_killed_or_crashes_is_told_and_leaves_no_file(script: str, tmp_path: Path) -> None:
    folder = tmp_path / "job"
    folder.mkdir()
    with pytest.raises(EncodeFailed):
        await mux(moving(), None, folder / "clip.mp4", ffmpeg=program(tmp_path, script))
    assert left_in(folder) == []


async def test_one_that_says_success_but_wrote_nothing_is_not_believed(tmp_path: Path) -> None:
    folder = tmp_path / "job"
    folder.mkdir()
    liar = program(tmp_path, 'cat >/dev/null; for last; do :; done; : > "$last"')
    with pytest.raises(EncodeFailed):
        await mux(moving(), None, folder / "clip.mp4", ffmpeg=liar)
    assert left_in(folder) == []


async def test_a_full_disk_is_told_and_leaves_nothing(each_ffmpeg: Ffmpeg, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4.part").symlink_to("/dev/full")
    with pytest.raises(DiskFull):
        await mux(moving(), noise(1.0), tmp_path / "clip.mp4", ffmpeg=each_ffmpeg)
    assert left_in(tmp_path) == []


async def test_a_feed_that_fails_fails_the_run(ffmpeg: Ffmpeg) -> None:
    def broken() -> Iterator[bytes]:
        yield bytes(64 * 64 * 3)
        raise ZeroDivisionError

    before = children()
    with pytest.raises(ZeroDivisionError):
        await run(ffmpeg, build.output(SOURCE, "-", f="null"), stage="encode", feed=broken())
    assert children() <= before


async def test_the_event_loop_goes_on_while_frames_are_fed(ffmpeg: Ffmpeg) -> None:
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0)
            beats += 1

    heart = asyncio.create_task(beat())
    one = [bytes(64 * 64 * 3)] * 200
    await run(ffmpeg, build.output(SOURCE, "-", f="null"), stage="encode", feed=one)
    heart.cancel()
    assert beats > 100
