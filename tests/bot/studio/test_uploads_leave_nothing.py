"""Whatever ends a request with files, the disk keeps only files that a job names."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from bot.domain.errors import (
    Blocked,
    DiskLow,
    NotAcceptingJobs,
    PromptRefused,
    QueueFull,
    QuotaSpent,
    RateLimited,
    UploadLimitReached,
)
from bot.domain.quota import UploadLimits
from bot.maintenance.janitor import Janitor
from bot.store.integrity import read_input_files
from bot.store.store import Store
from bot.studio.studio import Studio
from generation.errors import AttachmentRefused, UnknownChoice
from generation.request import Kind, MusicWish, Wish
from tests.bot.app_harness import open_studio
from tests.bot.maintenance.test_backups import LARGE_ALLOWANCE, NO_CAPS, deliver_job
from tests.bot.maintenance.test_janitor import create_clip
from tests.bot.studio.test_uploads import ANA, HERE, PICTURE, Source, files_in
from tests.factories import make_draft
from tests.fakes.wav_samples import wav_bytes

FOX = "a fox"


async def send(studio: Studio, prompt: str = FOX, *, sound: bytes = b"", key: str = "", **wish: Any) -> None:
    """One request with a picture and a sound, as a frontend receives and submits it."""
    viewer = ANA
    async with studio.receive_uploads(viewer) as intake:
        picture = await intake.picture("a.png", len(PICTURE), Source(PICTURE).fetch)
        track = await intake.sound("a.wav", len(wav_bytes()), Source(sound or wav_bytes()).fetch)
        await studio.submit(
            Wish(
                prompt=prompt,
                kind=Kind.ANIMATE,
                image=picture,
                music=MusicWish(track=track),
                **{"model": "testcard"} | wish,
            ),
            viewer,
            HERE,
            idempotency_key=key,
        )


async def block(store: Store, _studio: Studio) -> None:
    await store.run_admin(lambda c: c.block(ANA.requester.key, until=None, reason="rude"), read_only=False)


async def close(_store: Store, studio: Studio) -> None:
    studio.stop_accepting("closing")


async def fill(store: Store, _studio: Studio) -> None:
    for _ in range(20):
        await store.enqueue(make_draft(), allowance=LARGE_ALLOWANCE, caps=NO_CAPS)


async def nothing(_store: Store, _studio: Studio) -> None:
    pass


@dataclass(frozen=True)
class Case:
    error: type[Exception]
    prepare: Callable[[Store, Studio], Awaitable[None]] = nothing
    options: dict[str, Any] = field(default_factory=dict)
    request: dict[str, Any] = field(default_factory=dict)


CASES = {
    "blocked": Case(Blocked, block),
    "too quickly": Case(RateLimited, options={"uploads": UploadLimits(burst=1)}),
    "bytes a day": Case(
        UploadLimitReached, options={"uploads": UploadLimits(bytes_per_day=len(PICTURE) + 9_000)}
    ),
    "no credits": Case(QuotaSpent, options={"credits_": 0}),
    "disk nearly full": Case(DiskLow, options={"min_free_disk": 2**62}),
    "a rule": Case(PromptRefused, request={"prompt": "forbidden"}),
    "queue full": Case(QueueFull, fill),
    "closing": Case(NotAcceptingJobs, close),
    "damaged sound": Case(AttachmentRefused, request={"sound": b"no sound"}),
    "unknown model": Case(UnknownChoice, request={"model": "nonsense"}),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_a_refused_request_leaves_nothing(case: Case, tmp_path: Path) -> None:
    async with open_studio(tmp_path, **case.options) as (store, studio, _):
        await case.prepare(store, studio)
        with pytest.raises(case.error):
            await send(studio, **case.request)
        assert not list((tmp_path / "uploads").rglob("*"))


@pytest.mark.parametrize("step", range(12))
async def test_a_request_that_is_cancelled_at_any_moment_leaves_only_what_a_job_names(
    step: int, tmp_path: Path
) -> None:
    async with open_studio(tmp_path) as (_, studio, _):
        try:
            async with asyncio.timeout(0.08 * step):
                await send(studio)
        except TimeoutError:
            pass
        assert {str(path) for path in files_in(tmp_path)} == read_input_files(tmp_path)


async def test_an_error_after_the_job_was_made_keeps_its_files(tmp_path: Path) -> None:
    async with open_studio(tmp_path) as (_, studio, _):
        viewer = ANA

        async def fail_afterwards() -> None:
            async with studio.receive_uploads(viewer) as intake:
                picture = await intake.picture("a.png", len(PICTURE), Source(PICTURE).fetch)
                wish = Wish(prompt=FOX, kind=Kind.ANIMATE, model="testcard", image=picture)
                await studio.submit(wish, viewer, HERE)
                raise ConnectionError

        with pytest.raises(ConnectionError):
            await fail_afterwards()
        assert {str(path) for path in files_in(tmp_path)} == read_input_files(tmp_path) != set()


async def test_a_start_removes_what_a_crash_left_without_a_job(tmp_path: Path) -> None:
    async with open_studio(tmp_path) as (store, studio, _):
        await send(studio)
        kept = set(files_in(tmp_path))
        async with studio.receive_uploads(ANA) as intake:
            await intake.picture("a.png", len(PICTURE), Source(PICTURE).fetch)
        assert set(files_in(tmp_path)) > kept
        assert Janitor(store=store, data=tmp_path, budget=0).remove_unused_attachments(min_age=0.0) == 1
        assert set(files_in(tmp_path)) == kept


async def test_attachments_never_cost_somebody_elses_clip(tmp_path: Path) -> None:
    async with open_studio(tmp_path) as (store, _, _):
        clip = await create_clip(store, tmp_path)
        await deliver_job(store, clip)
        janitor = Janitor(store=store, data=tmp_path, budget=10**9)
        budget = janitor.used_bytes() + 500_000
        uploads = [tmp_path / "uploads" / "owner" / name for name in ("waiting", "ended")]
        for path in uploads:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes(1_000_000))
            os.utime(path, (1e9, 1e9))
            draft = make_draft()
            draft = replace(draft, request=structs.replace(draft.request, image=str(path)))
            job = (await store.enqueue(draft, allowance=LARGE_ALLOWANCE, caps=NO_CAPS)).job
        await store.cancel(job.id)
        result = await Janitor(store=store, data=tmp_path, budget=budget).enforce_budget(janitor.used_bytes())
        assert result.clips == 0
        assert [path.exists() for path in uploads] == [True, False], "those of ended jobs go before any clip"
        assert (tmp_path / "clips" / str(clip) / "clip.mp4").exists()
