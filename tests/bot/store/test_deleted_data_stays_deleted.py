"""What a user deleted comes back neither with an unfinished clip, nor from the write-ahead log."""

from __future__ import annotations

from pathlib import Path

from msgspec import structs

from bot.domain.jobs import JobState
from bot.maintenance.retention import RetentionSweeper
from generation.errors import PictureFailed
from tests.bot.store.conftest import CLIP, StoreHarness, read_rows
from tests.factories import make_draft, make_request

KEY = "discord:471108154711081547"
USER = KEY.removeprefix("discord:")
WEEK = 7 * 86_400.0


async def everything_stored(harness: StoreHarness) -> str:
    return await read_rows(harness.store, lambda c: "\n".join(c.iterdump()))


async def ask_then_delete(harness: StoreHarness) -> int:
    job = await harness.ask(make_draft(USER))
    await harness.store.delete_personal_data(KEY)
    assert "fox" in await everything_stored(harness), "the clip that waits is still made"
    return job.id


async def test_a_clip_that_waited_loses_prompt_name_and_file_once_it_was_delivered(
    harness: StoreHarness, tmp_path: Path
) -> None:
    number = await ask_then_delete(harness)
    clip = tmp_path / "clips" / str(number) / "clip.mp4"
    clip.parent.mkdir(parents=True)
    clip.write_bytes(b"clip")
    job = await harness.claim()
    await harness.store.mark_rendered(number, job.epoch, structs.replace(CLIP, path=clip))
    sweeper = RetentionSweeper(store=harness.store, clips=tmp_path / "clips", keep_days=0)
    assert (await sweeper.blank_ended_jobs()).jobs == 0
    await harness.store.begin_delivery(number)
    await harness.store.mark_delivered(number, "m")
    assert (await sweeper.blank_ended_jobs()).jobs == 1
    dump = await everything_stored(harness)
    assert [text for text in (USER, "fox", "Ana", str(clip)) if text in dump] == []
    assert not clip.exists()
    kept = await harness.store.job(number)
    assert (kept.state, kept.cost) == (JobState.DELIVERED, 1)
    assert (await sweeper.blank_ended_jobs()).jobs == 0


async def test_a_clip_that_failed_keeps_its_chat_until_the_user_knows(harness: StoreHarness) -> None:
    number = await ask_then_delete(harness)
    job = await harness.claim()
    await harness.store.mark_failed(number, job.epoch, PictureFailed("testcard", "black frames"))
    assert (await harness.store.blank_ended_jobs()).jobs == 0
    pending = await harness.store.jobs_without_final_status()
    assert [(job.id, job.reply_to.platform) for job in pending] == [(number, "discord")]
    await harness.store.mark_final_status_shown(number)
    assert (await harness.store.blank_ended_jobs()).jobs == 1
    assert USER not in await everything_stored(harness)


async def test_a_clip_that_failed_before_loses_its_prompt_at_once(harness: StoreHarness) -> None:
    job = await harness.ask(make_draft(USER))
    await harness.store.cancel(job.id)
    assert (await harness.store.delete_personal_data(KEY)).jobs == 1
    assert "fox" not in await everything_stored(harness)
    pending = await harness.store.jobs_without_final_status()
    assert [one.reply_to.chat for one in pending] == [job.reply_to.chat]


async def test_a_status_that_cannot_be_shown_delays_the_deletion_by_a_week_at_most(
    harness: StoreHarness,
) -> None:
    number = await ask_then_delete(harness)
    await harness.store.cancel(number)
    harness.clock.now += WEEK + 1
    assert (await harness.store.blank_ended_jobs()).jobs == 1
    assert await harness.store.jobs_without_final_status() == []
    assert USER not in await everything_stored(harness)


async def test_jobs_after_the_deletion_are_kept(harness: StoreHarness) -> None:
    await harness.store.cancel(await ask_then_delete(harness))
    harness.clock.now += 1
    later = await harness.ask(make_draft(USER))
    await harness.store.cancel(later.id)
    harness.clock.now += WEEK + 1
    assert (await harness.store.blank_ended_jobs()).jobs == 1
    assert (await harness.store.job(later.id)).request.prompt == "a fox in the snow"


async def test_deleted_text_is_in_no_file_of_the_data_folder(harness: StoreHarness, tmp_path: Path) -> None:
    """The rows are gone at once, but SQLite keeps the old pages in the write-ahead log and in free pages."""
    long_prompt = "a very particular heron " * 400  # spills into pages of its own
    for _ in range(30):
        job = await harness.ask(make_draft(USER, request=make_request(prompt=long_prompt)))
        await harness.store.cancel(job.id)
        await harness.store.mark_final_status_shown(job.id)
    assert b"particular heron" in stored_bytes(tmp_path)
    await harness.store.delete_personal_data(KEY)
    assert b"particular heron" not in stored_bytes(tmp_path)
    assert USER.encode() not in stored_bytes(tmp_path)
    assert (tmp_path / "matinee.db-wal").stat().st_size == 0


def stored_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
