"""Attached files are checked, cleaned and stored under our own names."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from bot.frontends.common import attachments
from bot.frontends.common.attachments import (
    check_image_size,
    check_size,
    read_attached_recipe,
    save_audio,
    save_image,
)
from generation.errors import AttachmentRefused
from generation.media.provenance import sign_file
from generation.media.signing_identity import load_or_create_identity
from tests.fakes.wav_samples import wav_bytes

ORIENTATION_TAG = 0x0112
ROTATE_90 = 6


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    data = io.BytesIO()
    picture.save(data, kind, **options)
    return data.getvalue()


async def test_a_picture_is_stored_upright_and_without_metadata(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = ROTATE_90
    photo = encoded(Image.new("RGB", (64, 32), "red"), "JPEG", exif=exif)
    stored = await save_image(photo, "photo.jpg", tmp_path / "new" / "7.png")
    with Image.open(stored) as clean:
        assert (clean.format, clean.size, clean.mode) == ("PNG", (32, 64), "RGB")
        assert not clean.getexif()
    assert stored.is_absolute()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"GIF89a not one of the formats", attachments.IMAGE_UNREADABLE),
        (b"\x89PNG\r\n\x1a\n cut off", attachments.IMAGE_UNREADABLE),
        (bytes(attachments.MAX_IMAGE_BYTES + 1), attachments.IMAGE_TOO_LARGE),
        (encoded(Image.new("1", (4001, 4000)), "PNG"), attachments.TOO_MANY_PIXELS),
    ],
    ids=["another format", "damaged", "too many bytes", "too many pixels"],
)
async def test_an_unusable_picture_is_refused_under_the_users_name(
    content: bytes, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(AttachmentRefused) as caught:
        await save_image(content, "my cat.png", tmp_path / "7.png")
    assert (caught.value.name, caught.value.reason) == ("my cat.png", reason)
    assert not list(tmp_path.iterdir())


async def test_music_is_stored_as_it_is(tmp_path: Path) -> None:
    stored = await save_audio(wav_bytes(), "song.wav", tmp_path / "new" / "7.wav")
    assert stored.read_bytes() == wav_bytes()


async def test_a_file_without_sound_is_refused_under_the_users_name(tmp_path: Path) -> None:
    with pytest.raises(AttachmentRefused) as caught:
        await save_audio(b"no sound at all", "song.wav", tmp_path / "7.wav")
    assert caught.value.name == "song.wav"


def test_sizes_are_checked_before_a_download() -> None:
    check_size("clip.mp4", 100, 100)
    check_image_size("photo.jpg", attachments.MAX_IMAGE_BYTES)
    with pytest.raises(AttachmentRefused, match=r"clip\.mp4"):
        check_size("clip.mp4", 101, 100)
    with pytest.raises(AttachmentRefused, match=r"photo\.jpg"):
        check_image_size("photo.jpg", attachments.MAX_IMAGE_BYTES + 1)


@pytest.mark.parametrize("content", [b"", b"no clip at all", encoded(Image.new("RGB", (8, 8)), "PNG")])
async def test_a_file_of_another_program_has_no_recipe(content: bytes) -> None:
    assert await read_attached_recipe(content) is None


async def test_a_signed_picture_without_a_recipe_has_none(tmp_path: Path) -> None:
    path = tmp_path / "still.png"
    Image.new("RGB", (96, 64)).save(path)
    sign_file(path, identity=load_or_create_identity(tmp_path), model="Test card")
    assert await read_attached_recipe(path.read_bytes()) is None
