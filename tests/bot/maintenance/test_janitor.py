"""The data folder keeps to its budget, and only what everybody has been given goes."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from bot.domain.errors import ClipGone
from bot.domain.jobs import Requester
from bot.domain.quota import Allowance
from bot.maintenance.integrity_check import look_over
from bot.maintenance.janitor import GRACE, Janitor
from bot.store.store import Store
from generation.request import MusicWish
from tests.bot.app_harness import house_of
from tests.bot.maintenance.test_backups import NO_CAPS, PLENTY, deliver
from tests.bot.store.conftest import CLIP, Clock, a_draft

CLIP_BYTES = 200_000


async def a_clip(store: Store, data: Path, *, source: Path | None = None) -> int:
    draft = a_draft()
    if source:
        draft = replace(draft, request=structs.replace(draft.request, source=str(source)))
    job = (await store.enqueue(draft, allowance=PLENTY, caps=NO_CAPS)).job
    if source:
        return job.id
    claimed = await store.claim(lease=60)
    assert claimed is not None
    folder = data / "clips" / str(claimed.id)
    await asyncio.to_thread(_write, folder / "clip.mp4")
    await asyncio.to_thread(_write, folder / "clip.fit-9.mp4")
    await store.rendered(claimed.id, claimed.epoch, structs.replace(CLIP, path=folder / "clip.mp4"))
    return claimed.id


def _write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * CLIP_BYTES)


async def test_the_oldest_delivered_clips_go_first_and_what_is_still_owed_never(tmp_path: Path) -> None:
    clock = Clock()
    store = await Store.open(tmp_path, clock=clock)
    jobs = []
    for number in range(9):
        clock.now += 60
        jobs.append(await a_clip(store, tmp_path))
        if number not in {0, 1, 2}:  # 0 is rendered, 1 uncertain, 2 held
            await deliver(store, jobs[-1])
    await store.begin_delivery(jobs[1])
    await store.doubtful(jobs[1])
    await store.hold_clip(jobs[2], ClipGone(0))
    await a_clip(store, tmp_path, source=tmp_path / "clips" / str(jobs[4]) / "clip.mp4")
    janitor = Janitor(store=store, data=tmp_path, budget=0, clock=clock)
    held = janitor.size()
    assert (await janitor.make_room(held)).clips == 0, "without a budget everything stays"

    janitor = Janitor(store=store, data=tmp_path, budget=held - 3 * CLIP_BYTES, clock=clock)
    cleared = await janitor.make_room(held)
    left = sorted(int(folder.name) for folder in (tmp_path / "clips").iterdir())
    assert left == sorted(set(jobs) - {jobs[3], jobs[5]}), "the second oldest is needed by a waiting job"
    assert (cleared.clips, cleared.held <= held - 3 * CLIP_BYTES) == (2, True)
    assert janitor.size() == cleared.held

    everything = await Janitor(store=store, data=tmp_path, budget=1, clock=clock).make_room(janitor.size())
    assert everything.clips == 3
    left = sorted(int(folder.name) for folder in (tmp_path / "clips").iterdir())
    assert left == [*jobs[:3], jobs[4]]
    report = look_over(tmp_path)
    assert report.sound
    assert not report.found, "no row promises a file that went"
    await store.close()


async def test_new_music_for_a_cleared_clip_is_refused_in_words(tmp_path: Path) -> None:
    async with house_of(tmp_path) as (store, studio):
        job = await a_clip(store, tmp_path)
        await deliver(store, job)
        await Janitor(store=store, data=tmp_path, budget=1).make_room(10**9)
        me = Requester(platform="discord", user="42")
        with pytest.raises(ClipGone):
            await studio.rescore(job, MusicWish(genre="jazz"), me, (await studio.job(job)).reply_to)


async def test_what_lies_in_the_folder_of_a_job_that_keeps_no_clip_goes(tmp_path: Path) -> None:
    store = await Store.open(tmp_path)
    kept = await a_clip(store, tmp_path)
    for _ in range(2):
        await store.enqueue(a_draft(), allowance=PLENTY, caps=NO_CAPS)
    await store.cancel(2)
    for number in (2, 3, 77):
        await asyncio.to_thread(_write, tmp_path / "clips" / str(number) / "clip.mp4")
    janitor = Janitor(store=store, data=tmp_path, budget=0)
    assert janitor.tidy_clips() == 0, "too young to be sure"
    for folder in (tmp_path / "clips").iterdir():
        os.utime(folder, (1e9, 1e9))
    assert janitor.tidy_clips() == 1
    left = {int(folder.name) for folder in (tmp_path / "clips").iterdir()}
    assert left == {kept, 3, 77}, "one waits, and one may be from a database that was lost"
    await store.close()


async def test_attachments_go_when_no_job_names_them_any_more(tmp_path: Path) -> None:
    store = await Store.open(tmp_path)
    named, melody, stale, fresh = (
        tmp_path / "inbox" / "7" / "fox.png",
        tmp_path / "inbox" / "7" / "tune.mp3",
        tmp_path / "inbox" / "8" / "cat.png",
        tmp_path / "uploads" / "9.png",
    )
    for path in (named, melody, stale, fresh):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"?")
        if path is not fresh:
            os.utime(path, (1e9, 1e9))
    draft = a_draft()
    music = structs.replace(draft.request.music, melody=str(melody.absolute()))
    draft = replace(draft, request=structs.replace(draft.request, image=str(named.absolute()), music=music))
    await store.enqueue(draft, allowance=Allowance(credits=9), caps=NO_CAPS)
    janitor = Janitor(store=store, data=tmp_path, budget=0)
    assert janitor.tidy_inbox() == 1
    assert [path.exists() for path in (named, melody, stale, stale.parent, fresh)] == [
        True, True, False, False, True,
    ]  # fmt: skip
    await store.cancel(1)
    await store.forget("discord:42")
    assert janitor.tidy_inbox() == 2
    os.utime(fresh, (1e9, 1e9 + GRACE))
    assert janitor.tidy_inbox() == 1
    assert not (tmp_path / "inbox" / "7").exists()
    await store.close()
