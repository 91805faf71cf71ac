"""The data folder stays within its budget, and only delivered clips are removed for that."""

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
from bot.maintenance.integrity_check import check_data_folder
from bot.maintenance.janitor import MIN_FILE_AGE, Janitor
from bot.store.store import Store
from bot.studio.access import Viewer
from generation.request import MusicWish
from tests.bot.app_harness import open_studio
from tests.bot.maintenance.test_backups import LARGE_ALLOWANCE, NO_CAPS, deliver_job
from tests.bot.store.conftest import CLIP, Clock
from tests.factories import make_draft

CLIP_BYTES = 200_000


async def create_clip(store: Store, data: Path, *, source: Path | None = None) -> int:
    draft = make_draft()
    if source:
        draft = replace(draft, request=structs.replace(draft.request, source=str(source)))
    job = (await store.enqueue(draft, allowance=LARGE_ALLOWANCE, caps=NO_CAPS)).job
    if source:
        return job.id
    claimed = await store.claim(lease=60)
    assert claimed is not None
    folder = data / "clips" / str(claimed.id)
    await asyncio.to_thread(_write, folder / "clip.mp4")
    await asyncio.to_thread(_write, folder / "clip.fit-9.mp4")
    await store.mark_rendered(claimed.id, claimed.epoch, structs.replace(CLIP, path=folder / "clip.mp4"))
    return claimed.id


def _write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * CLIP_BYTES)


async def test_oldest_delivered_clips_go_first_undelivered_never(tmp_path: Path) -> None:
    clock = Clock()
    store = await Store.open(tmp_path, clock=clock)
    jobs = []
    for number in range(9):
        clock.now += 60
        jobs.append(await create_clip(store, tmp_path))
        if number not in {0, 1, 2}:  # 0 is rendered, 1 uncertain, 2 held
            await deliver_job(store, jobs[-1])
    await store.begin_delivery(jobs[1])
    await store.mark_uncertain(jobs[1])
    await store.hold_clip(jobs[2], ClipGone(0))
    await create_clip(store, tmp_path, source=tmp_path / "clips" / str(jobs[4]) / "clip.mp4")
    janitor = Janitor(store=store, data=tmp_path, budget=0, clock=clock)
    held = janitor.used_bytes()
    assert (await janitor.enforce_budget(held)).clips == 0, "without a budget nothing is removed"

    janitor = Janitor(store=store, data=tmp_path, budget=held - 3 * CLIP_BYTES, clock=clock)
    cleared = await janitor.enforce_budget(held)
    left = sorted(int(folder.name) for folder in (tmp_path / "clips").iterdir())
    assert left == sorted(set(jobs) - {jobs[3], jobs[5]}), "the second oldest is needed by a queued job"
    assert (cleared.clips, cleared.used <= held - 3 * CLIP_BYTES) == (2, True)
    assert janitor.used_bytes() == cleared.used

    everything = await Janitor(store=store, data=tmp_path, budget=1, clock=clock).enforce_budget(
        janitor.used_bytes()
    )
    assert everything.clips == 3
    left = sorted(int(folder.name) for folder in (tmp_path / "clips").iterdir())
    assert left == [*jobs[:3], jobs[4]]
    report = check_data_folder(tmp_path)
    assert report.sound
    assert not report.problems, "no row names a removed file"
    await store.close()


async def test_new_music_for_a_removed_clip_is_refused(tmp_path: Path) -> None:
    async with open_studio(tmp_path) as (store, studio, _):
        job = await create_clip(store, tmp_path)
        await deliver_job(store, job)
        await Janitor(store=store, data=tmp_path, budget=1).enforce_budget(10**9)
        me = Viewer(requester=Requester(platform="discord", user="42"))
        with pytest.raises(ClipGone):
            await studio.new_music(job, MusicWish(genre="jazz"), me, (await store.job(job)).reply_to)


async def test_folders_of_jobs_without_a_clip_are_removed(tmp_path: Path) -> None:
    store = await Store.open(tmp_path)
    kept = await create_clip(store, tmp_path)
    for _ in range(2):
        await store.enqueue(make_draft(), allowance=LARGE_ALLOWANCE, caps=NO_CAPS)
    await store.cancel(2)
    for number in (2, 3, 77):
        await asyncio.to_thread(_write, tmp_path / "clips" / str(number) / "clip.mp4")
    janitor = Janitor(store=store, data=tmp_path, budget=0)
    assert janitor.remove_orphaned_clips() == 0, "too young to be removed"
    for folder in (tmp_path / "clips").iterdir():
        os.utime(folder, (1e9, 1e9))
    assert janitor.remove_orphaned_clips() == 1
    left = {int(folder.name) for folder in (tmp_path / "clips").iterdir()}
    assert left == {kept, 3, 77}, "one is queued, and one may belong to a lost database"
    await store.close()


async def test_attachments_are_removed_when_no_job_uses_them(tmp_path: Path) -> None:
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
    draft = make_draft()
    music = structs.replace(draft.request.music, melody=str(melody.absolute()))
    draft = replace(draft, request=structs.replace(draft.request, image=str(named.absolute()), music=music))
    await store.enqueue(draft, allowance=Allowance(credits=9), caps=NO_CAPS)
    janitor = Janitor(store=store, data=tmp_path, budget=0)
    assert janitor.remove_unused_attachments() == 1
    assert [path.exists() for path in (named, melody, stale, stale.parent, fresh)] == [
        True, True, False, False, True,
    ]  # fmt: skip
    await store.cancel(1)
    await store.delete_personal_data("discord:42")
    assert janitor.remove_unused_attachments() == 2
    os.utime(fresh, (1e9, 1e9 + MIN_FILE_AGE))
    assert janitor.remove_unused_attachments() == 1
    assert not (tmp_path / "inbox" / "7").exists()
    await store.close()
