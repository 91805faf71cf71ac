"""Retention deletes expired clips from the disk, and nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path

from msgspec import structs

from bot.domain.quota import Allowance, Caps
from bot.maintenance.retention import RetentionSweeper
from bot.store.store import Store
from tests.bot.store.conftest import CLIP, Clock
from tests.factories import make_draft

DAY = 86_400.0


async def deliver_clip(store: Store, path: Path) -> None:
    await asyncio.to_thread(_write, path)
    done = await store.enqueue(make_draft(), allowance=Allowance(credits=10), caps=Caps())
    job = await store.claim(lease=60)
    assert job is not None
    assert job.id == done.job.id
    await store.mark_rendered(job.id, job.epoch, structs.replace(CLIP, path=path))
    await store.begin_delivery(job.id)
    await store.mark_delivered(job.id, "m")


def _write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"clip")


async def test_clips_are_deleted_after_retention_and_with_their_user(tmp_path: Path) -> None:
    clock = Clock()
    clips = tmp_path / "clips"
    store = await Store.open(tmp_path, clock=clock)
    sweeper = RetentionSweeper(store=store, clips=clips, keep_days=30, clock=clock)
    old, new, foreign = (
        clips / "1" / "clip.mp4",
        clips / "2" / "clip.mp4",
        tmp_path / "elsewhere" / "clip.mp4",
    )
    await deliver_clip(store, old)
    clock.now += 31 * DAY
    await deliver_clip(store, new)
    await deliver_clip(store, foreign)
    assert (await sweeper.sweep()).jobs == 1
    assert [path.exists() for path in (old, old.parent, new)] == [False, False, True]
    await sweeper.delete_personal_data("discord:42")
    await store.close()
    assert [path.exists() for path in (new, foreign)] == [False, True]
