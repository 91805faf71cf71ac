"""Attached files: asked for before they are fetched, cleaned, owned by their user, deleted when refused."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bot.domain.errors import (
    Blocked,
    ChannelDenied,
    DiskLow,
    PromptRefused,
    QuotaSpent,
    RateLimited,
    UploadLimitReached,
)
from bot.domain.quota import UploadLimits
from bot.frontends.common.attachments import check_size
from bot.i18n import messages
from bot.store.store import Store
from bot.studio.studio import Studio, Viewer
from bot.studio.uploads import IMAGE_TOO_LARGE, MAX_IMAGE_BYTES
from generation.errors import AttachmentRefused
from generation.media.format_checks import TOO_MANY_PIXELS, UNREADABLE_IMAGE
from generation.media.provenance import sign_file
from generation.media.signing_identity import load_or_create_identity
from generation.request import Kind, MusicWish, Wish
from tests.bot.app_harness import open_studio
from tests.factories import link_users, make_reply_to, make_viewer
from tests.fakes import hostile_files
from tests.fakes.wav_samples import wav_bytes

ORIENTATION_TAG = 0x0112
ROTATE_90 = 6
ANA = make_viewer("ana", platform="telegram", chat="7")
EVE = make_viewer("eve", platform="telegram", chat="7")
HERE = make_reply_to(platform="telegram", chat="7")


class Source:
    """A file on the platform's server, which counts how often it is fetched."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.fetched = 0

    async def fetch(self) -> bytes:
        self.fetched += 1
        return self.content


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    data = io.BytesIO()
    picture.save(data, kind, **options)
    return data.getvalue()


PICTURE = encoded(Image.new("RGB", (64, 32), "red"), "JPEG")


async def send_picture(studio: Studio, content: bytes, name: str = "photo.jpg", viewer: Viewer = ANA) -> Path:
    async with studio.receive_uploads(viewer) as intake:
        return Path(await intake.picture(name, len(content), Source(content).fetch))


async def send_sound(studio: Studio, content: bytes, name: str = "song.wav", viewer: Viewer = ANA) -> Path:
    async with studio.receive_uploads(viewer) as intake:
        return Path(await intake.sound(name, len(content), Source(content).fetch, suffix=".wav"))


def files_in(folder: Path) -> list[Path]:
    return [path for path in (folder / "uploads").rglob("*") if path.is_file()]


@asynccontextmanager
async def studio_with(folder: Path, **limits: Any) -> AsyncIterator[tuple[Store, Studio]]:
    async with open_studio(folder, uploads=UploadLimits(**limits)) as (store, studio, _):
        yield store, studio


async def test_a_picture_is_stored_upright_and_without_metadata(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = ROTATE_90
    photo = encoded(Image.new("RGB", (64, 32), "red"), "JPEG", exif=exif)
    async with studio_with(tmp_path) as (_, studio):
        stored = await send_picture(studio, photo)
    with Image.open(stored) as clean:
        assert (clean.format, clean.size, clean.mode) == ("PNG", (32, 64), "RGB")
        assert not clean.getexif()
    assert stored.is_absolute()
    assert files_in(tmp_path) == [stored]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"GIF89a not one of the formats", UNREADABLE_IMAGE),
        (b"\x89PNG\r\n\x1a\n cut off", UNREADABLE_IMAGE),
        (bytes(MAX_IMAGE_BYTES + 1), IMAGE_TOO_LARGE),
        (encoded(Image.new("1", (4001, 4000)), "PNG"), TOO_MANY_PIXELS),
    ],
    ids=["another format", "damaged", "too many bytes", "too many pixels"],
)
async def test_an_unusable_picture_is_refused_under_the_users_name(
    content: bytes, reason: str, tmp_path: Path
) -> None:
    async with studio_with(tmp_path) as (_, studio):
        with pytest.raises(AttachmentRefused) as caught:
            await send_picture(studio, content, "my cat.png")
    assert (caught.value.name, caught.value.reason) == ("my cat.png", reason)
    assert not files_in(tmp_path)


async def test_music_is_stored_as_it_is(tmp_path: Path) -> None:
    async with studio_with(tmp_path) as (_, studio):
        stored = await send_sound(studio, wav_bytes())
    assert stored.read_bytes() == wav_bytes()


async def test_a_file_without_sound_is_refused_under_the_users_name(tmp_path: Path) -> None:
    async with studio_with(tmp_path) as (_, studio):
        with pytest.raises(AttachmentRefused) as caught:
            await send_sound(studio, b"no sound at all")
    assert caught.value.name == "song.wav"
    assert not files_in(tmp_path)


async def test_sizes_are_checked_before_a_download(tmp_path: Path) -> None:
    check_size("clip.mp4", 100, 100)
    with pytest.raises(AttachmentRefused, match=r"clip\.mp4"):
        check_size("clip.mp4", 101, 100)
    source = Source(PICTURE)
    async with studio_with(tmp_path) as (_, studio):
        with pytest.raises(AttachmentRefused, match=r"photo\.jpg"):
            async with studio.receive_uploads(ANA) as intake:
                await intake.picture("photo.jpg", MAX_IMAGE_BYTES + 1, source.fetch)
    assert source.fetched == 0


@pytest.mark.parametrize("content", [b"", b"no clip at all", encoded(Image.new("RGB", (8, 8)), "PNG")])
async def test_a_file_of_another_program_has_no_recipe(content: bytes, tmp_path: Path) -> None:
    async with studio_with(tmp_path) as (_, studio):
        source = Source(content)
        assert await studio.read_attached_recipe("a.mp4", len(content), source.fetch, ANA) is None
    assert not files_in(tmp_path)


async def test_a_signed_picture_without_a_recipe_has_none(tmp_path: Path) -> None:
    path = tmp_path / "still.png"
    Image.new("RGB", (96, 64)).save(path)
    sign_file(path, identity=load_or_create_identity(tmp_path), model="Test card")
    content = path.read_bytes()
    async with studio_with(tmp_path) as (_, studio):
        source = Source(content)
        assert await studio.read_attached_recipe("a.png", len(content), source.fetch, ANA) is None


async def all_refused(studio: Studio, error: type[Exception], *, recipe: bool = True) -> None:
    """Every way to send a file is refused, and no byte is fetched."""
    source = Source(PICTURE)
    with pytest.raises(error):
        async with studio.receive_uploads(ANA) as intake:
            await intake.picture("a.png", len(PICTURE), source.fetch)
    with pytest.raises(error):
        async with studio.receive_uploads(ANA) as intake:
            await intake.sound("a.wav", len(PICTURE), source.fetch)
    if recipe:
        with pytest.raises(error):
            await studio.read_attached_recipe("a.png", len(PICTURE), source.fetch, ANA)
    assert source.fetched == 0


async def test_nothing_is_fetched_for_a_blocked_user(tmp_path: Path) -> None:
    async with studio_with(tmp_path) as (store, studio):
        await store.run_admin(
            lambda c: c.block(ANA.requester.key, until=None, reason="rude"), read_only=False
        )
        await all_refused(studio, Blocked)
    assert not (tmp_path / "uploads").exists()


async def test_nothing_is_fetched_in_a_denied_chat(tmp_path: Path) -> None:
    async with studio_with(tmp_path) as (_, studio):
        await studio.administer("channel deny telegram:7", make_viewer("boss", admin=True))
        await all_refused(studio, ChannelDenied)


async def test_nothing_is_fetched_for_a_job_that_cannot_be_paid(tmp_path: Path) -> None:
    async with open_studio(tmp_path, credits_=0) as (_, studio, _):
        await all_refused(studio, QuotaSpent, recipe=False)


async def test_nothing_is_fetched_on_a_full_disk(tmp_path: Path) -> None:
    async with open_studio(tmp_path, min_free_disk=2**62) as (_, studio, _):
        await all_refused(studio, DiskLow)


async def test_files_in_quick_succession_are_refused_before_they_are_fetched(tmp_path: Path) -> None:
    async with studio_with(tmp_path, burst=2) as (_, studio):
        await send_picture(studio, PICTURE)
        with pytest.raises(AttachmentRefused):
            await send_sound(studio, b"no sound: refused files count too")
        await all_refused(studio, RateLimited)
        await send_picture(studio, PICTURE, viewer=EVE)


async def test_a_user_has_only_so_many_bytes_a_day_also_after_a_restart(tmp_path: Path) -> None:
    limit = len(wav_bytes()) + len(PICTURE)
    async with studio_with(tmp_path, bytes_per_day=limit) as (_, studio):
        await send_sound(studio, wav_bytes())
    async with studio_with(tmp_path, bytes_per_day=len(wav_bytes()) + len(PICTURE) - 1) as (_, studio):
        await all_refused(studio, UploadLimitReached)
        await send_picture(studio, PICTURE, viewer=EVE)


async def test_the_bytes_of_linked_users_are_one_sum(tmp_path: Path) -> None:
    async with studio_with(tmp_path, bytes_per_day=len(PICTURE) + 10_000) as (store, studio):
        await link_users(store, ANA.requester.key, EVE.requester.key)
        await send_sound(studio, hostile_files.wav(8_000)[:10_000], viewer=EVE)
        await all_refused_for_size(studio, 1_000)


async def all_refused_for_size(studio: Studio, size: int) -> None:
    source = Source(bytes(size))
    with pytest.raises(UploadLimitReached):
        async with studio.receive_uploads(ANA) as intake:
            await intake.sound("a.wav", 10_000 + size, source.fetch)
    assert source.fetched == 0


async def test_a_file_that_is_larger_than_announced_counts_as_it_is(tmp_path: Path) -> None:
    async with studio_with(tmp_path, bytes_per_day=len(wav_bytes())) as (_, studio):
        async with studio.receive_uploads(ANA) as intake:
            await intake.sound("a.wav", 1, Source(wav_bytes()).fetch)
        await all_refused(studio, UploadLimitReached)


async def test_an_error_while_the_files_of_a_wish_arrive_deletes_all_of_them(tmp_path: Path) -> None:
    async with studio_with(tmp_path) as (_, studio):
        async with studio.receive_uploads(ANA) as intake:
            await intake.picture("a.png", len(PICTURE), Source(PICTURE).fetch)
        kept = files_in(tmp_path)

        async def receive_both() -> None:
            async with studio.receive_uploads(ANA) as intake:
                await intake.picture("a.png", len(PICTURE), Source(PICTURE).fetch)
                await intake.sound("a.wav", 5, Source(b"wrong").fetch)

        with pytest.raises(AttachmentRefused):
            await receive_both()
        assert files_in(tmp_path) == kept


async def test_the_files_of_a_refused_wish_are_deleted_and_those_of_a_job_kept(tmp_path: Path) -> None:
    async with studio_with(tmp_path) as (_, studio):
        picture, sound = await send_picture(studio, PICTURE), await send_sound(studio, wav_bytes())
        wish = Wish(
            prompt="forbidden",
            kind=Kind.ANIMATE,
            model="testcard",
            image=str(picture),
            music=MusicWish(track=str(sound)),
        )
        with pytest.raises(PromptRefused):
            await studio.submit(wish, ANA, HERE)
        assert not files_in(tmp_path)
        kept = await send_picture(studio, PICTURE)
        wish = Wish(prompt="a fox", kind=Kind.ANIMATE, model="testcard", image=str(kept))
        await studio.submit(wish, ANA, HERE, idempotency_key="1")
        again = await send_picture(studio, PICTURE)
        repeated = Wish(prompt="a fox", kind=Kind.ANIMATE, model="testcard", image=str(again))
        await studio.submit(repeated, ANA, HERE, idempotency_key="1")
        assert files_in(tmp_path) == [kept]


async def test_only_the_own_uploads_can_be_named_in_a_wish(tmp_path: Path) -> None:
    async with studio_with(tmp_path) as (_, studio):
        anas = await send_picture(studio, PICTURE)
        foreign = [str(anas), "/etc/passwd", str(anas.parent / ".." / anas.parent.name / anas.name)]
        for path in foreign:
            for wish in (
                Wish(prompt="a fox", kind=Kind.ANIMATE, model="testcard", image=path),
                Wish(prompt="a fox", kind=Kind.EXTEND, model="testcard", source=path),
                Wish(prompt="a fox", music=MusicWish(track=path)),
                Wish(prompt="a fox", music=MusicWish(melody=path)),
            ):
                with pytest.raises(AttachmentRefused):
                    await studio.submit(wish, EVE, HERE)
        assert files_in(tmp_path) == [anas], "a stranger's wish deletes nothing"


class Ticker:
    """Wakes up every few milliseconds, and records how late, and how much memory the process then has."""

    PAUSE = 0.005

    def __init__(self) -> None:
        self.delays: list[float] = []
        self.most_memory = 0

    async def run(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            due = clock() + self.PAUSE
            await asyncio.sleep(self.PAUSE)
            self.delays.append(clock() - due)
            self.most_memory = max(self.most_memory, resident_bytes())


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * 4096


async def send_hostile(studio: Studio, kind: str, content: bytes) -> str:
    """Send one file and return the sentence that its user gets; empty if it is harmless after all."""
    source = Source(content)
    try:
        if kind == "recipe":
            await studio.read_attached_recipe("file", len(content), source.fetch, ANA)
        else:
            async with studio.receive_uploads(ANA) as intake:
                send = intake.picture if kind == "picture" else intake.sound
                await studio.submit(
                    Wish(prompt="forbidden", image=await send("file", len(content), source.fetch)), ANA, HERE
                )
    except (AttachmentRefused, PromptRefused) as error:
        return messages.explain(error)
    return ""


def hostile(kind: str, files: dict[str, bytes], count: int) -> Sequence[tuple[str, bytes]]:
    return [(kind, data) for data in hostile_files.damaged(files, count, seed=19)]


@pytest.mark.slow
async def test_three_hundred_hostile_files_cost_the_bot_nothing(tmp_path: Path) -> None:
    """The bot's memory stays as it is, others are answered meanwhile, and nothing is left on the disk."""
    files = [
        *hostile("picture", hostile_files.PICTURES, 100),
        *hostile("sound", hostile_files.SOUNDS, 120),
        *hostile("recipe", hostile_files.RECIPES, 80),
    ]
    async with studio_with(tmp_path, burst=None, bytes_per_day=10**12) as (_, studio):
        await send_hostile(studio, *files[0])  # what is loaded once is no growth
        ticker, before = Ticker(), resident_bytes()
        ticking = asyncio.create_task(ticker.run())
        answers: list[str] = []
        for start in range(0, len(files), 20):  # twenty at once
            sends = (send_hostile(studio, kind, data) for kind, data in files[start : start + 20])
            answers += await asyncio.gather(*sends)
        ticking.cancel()
    assert ticker.most_memory - before < 50_000_000
    late = sum(delay > 0.05 for delay in ticker.delays) / len(ticker.delays)
    assert late < 0.02, f"{late:.1%} of the ticks were late, the latest by {max(ticker.delays):.3f} s"
    assert not files_in(tmp_path)
    assert all("\n" not in answer and "Traceback" not in answer for answer in answers)
    assert sum(map(bool, answers)) >= 220, "every picture and sound has an answer"
