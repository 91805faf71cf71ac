"""Every file is signed as AI-generated; it contains its recipe only on request."""

from __future__ import annotations

import random
import stat
from pathlib import Path

import pytest
from msgspec import structs
from PIL import Image

from generation.clip import Clip
from generation.errors import EncodeFailed
from generation.media import provenance
from generation.media.ffmpeg import Ffmpeg
from generation.media.fit import fit
from generation.media.image_metadata import JPEG, PNG, read_metadata, with_metadata
from generation.media.mux import mux, mux_new_music
from generation.media.probe import check_file, clip_from_file, probe, read_frames
from generation.media.provenance import (
    SignatureStatus,
    ai_label_tags,
    read_recipe,
    sign_file,
    verify,
    with_recipe,
)
from generation.media.signing_identity import Identity, load_or_create_identity
from generation.request import Kind
from tests.factories import make_music, make_request
from tests.generation.media.conftest import moving_square, noise

pytestmark = pytest.mark.slow

REQUEST = make_request(
    "a fox in the snow; it's -20° «здесь»",
    kind=Kind.ANIMATE,
    model="ltx",
    width=96,
    height=64,
    frames=12,
    fps=12.0,
    steps=8,
    music=make_music(seed=3, track="/secret/song.mp3"),
    image="/secret/face.png",
)


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    return load_or_create_identity(tmp_path)


@pytest.fixture
async def clip(ffmpeg: Ffmpeg, identity: Identity, tmp_path: Path) -> Clip:
    unsigned = await mux(
        moving_square(), noise(1.0), tmp_path / "clip.mp4", ffmpeg=ffmpeg, tags=ai_label_tags("ltx")
    )
    sign_file(unsigned.path, identity=identity, model="ltx")
    return clip_from_file(unsigned.path, poster=unsigned.poster)


async def test_a_signed_clip_names_its_model_and_plays(
    clip: Clip, identity: Identity, ffmpeg: Ffmpeg
) -> None:
    report = verify(clip.path, identity=identity)
    assert (report.status, report.ours, report.made_by_ai, report.model) == (
        SignatureStatus.VALID,
        True,
        True,
        "ltx",
    )
    assert report.software is not None
    assert report.software.startswith("Matinee")
    assert "AI-generated" in probe(clip.path).tags["comment"]
    await check_file(clip.path, frames=12, fps=12.0, audio=True, ffmpeg=ffmpeg)
    data = clip.path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


async def test_another_operators_signature_is_valid_but_not_ours(clip: Clip, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    report = verify(clip.path, identity=load_or_create_identity(tmp_path / "other"))
    assert (report.status, report.ours) == (SignatureStatus.VALID, False)


def _box_header_offsets(data: bytes) -> list[int]:
    at, offsets = 0, list[int]()
    while at < len(data):
        offsets += range(at, at + 8)
        at += int.from_bytes(data[at : at + 4])
    return offsets


async def test_any_flipped_bit_breaks_the_signature(clip: Clip, tmp_path: Path) -> None:
    """Including the file type, the box headers and the padding, which C2PA does not hash."""
    data, rng = clip.path.read_bytes(), random.Random(11)
    signature_at, index_at = data.index(b"uuid") - 4, data.index(b"moov") - 4
    offsets = {
        *_box_header_offsets(data),
        *range(signature_at, signature_at + 120),
        *range(signature_at, index_at, 32),
    }
    for at in sorted(offsets) + [rng.randrange(len(data)) for _ in range(200)]:
        flipped = bytearray(data)
        flipped[at] ^= 1 << rng.randrange(8)
        copy = tmp_path / "flipped.mp4"
        copy.write_bytes(flipped)
        assert verify(copy).status is SignatureStatus.BROKEN, at


@pytest.mark.parametrize("extra", [b"\0", bytes(100), b"\0\0\0\x08free", b"\0\0\0\x0cmfraxxxx"])
async def test_appended_bytes_break_the_signature(extra: bytes, clip: Clip, tmp_path: Path) -> None:
    (tmp_path / "longer.mp4").write_bytes(clip.path.read_bytes() + extra)
    assert verify(tmp_path / "longer.mp4").status is SignatureStatus.BROKEN


async def test_a_truncated_file_has_no_valid_signature(clip: Clip, tmp_path: Path) -> None:
    data = clip.path.read_bytes()
    for twentieth in range(20):
        (tmp_path / "truncated.mp4").write_bytes(data[: len(data) * twentieth // 20])
        assert verify(tmp_path / "truncated.mp4").status is not SignatureStatus.VALID, twentieth


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_any_flipped_bit_breaks_a_pictures_signature(suffix: str, identity: Identity, tmp_path: Path) -> None:
    picture, rng = tmp_path / f"picture{suffix}", random.Random(5)
    Image.fromarray(moving_square(1, 48, 32).pixels[0]).save(picture)
    sign_file(picture, identity=identity, model="sd")
    assert verify(picture, identity=identity).ours
    data = picture.read_bytes()
    for at in [*range(0, len(data), 24), *(rng.randrange(len(data)) for _ in range(60))]:
        flipped = bytearray(data)
        flipped[at] ^= 1 << rng.randrange(8)
        copy = tmp_path / f"flipped{suffix}"
        copy.write_bytes(flipped)
        assert verify(copy).status is SignatureStatus.BROKEN, at


async def test_every_way_to_make_a_clip_ends_in_a_valid_signature(
    clip: Clip, identity: Identity, ffmpeg: Ffmpeg, tmp_path: Path
) -> None:
    def sign(path: Path) -> None:
        sign_file(path, identity=identity, model="ltx")

    with_new_music = await mux_new_music(
        clip, noise(1.0, level=0.02), tmp_path / "new-music.mp4", ffmpeg=ffmpeg
    )
    sign(with_new_music.path)
    longer = moving_square(20)
    extended = await mux(longer, noise(1.6), tmp_path / "extended.mp4", ffmpeg=ffmpeg)
    sign(extended.path)
    fitted = await fit(clip, clip.size * 9 // 10, ffmpeg=ffmpeg, identity=identity)
    recipe_copy = await with_recipe(
        clip, REQUEST, tmp_path / "with-recipe.mp4", ffmpeg=ffmpeg, identity=identity
    )
    poster = clip.poster
    assert poster is not None
    sign(poster)
    for path in (clip.path, with_new_music.path, extended.path, fitted.path, recipe_copy.path, poster):
        assert verify(path, identity=identity).ours, path.name
    assert fitted.path != clip.path


async def test_a_copy_stripped_of_its_signature_is_reported_absent(
    clip: Clip, ffmpeg: Ffmpeg, tmp_path: Path
) -> None:
    stripped = await mux_new_music(clip, None, tmp_path / "stripped.mp4", ffmpeg=ffmpeg)
    assert verify(stripped.path).status is SignatureStatus.ABSENT


def test_files_that_are_not_clips_have_no_valid_signature(tmp_path: Path) -> None:
    for name, data in (("a.mp4", b""), ("b.mp4", b"#EXTM3U\n/etc/passwd"), ("c.mp4", bytes(5000))):
        (tmp_path / name).write_bytes(data)
        assert verify(tmp_path / name).status is not SignatureStatus.VALID
        assert read_recipe(tmp_path / name) is None


async def test_the_recipe_is_the_request_without_local_paths(
    clip: Clip, identity: Identity, each_ffmpeg: Ffmpeg, tmp_path: Path
) -> None:
    recipe_copy = await with_recipe(
        clip, REQUEST, tmp_path / "with-recipe.mp4", ffmpeg=each_ffmpeg, identity=identity
    )
    recipe = read_recipe(recipe_copy.path)
    assert recipe is not None
    assert recipe.to_json() == provenance.recipe_data(REQUEST)
    assert (recipe.prompt, recipe.seed, recipe.music.instruments) == (REQUEST.prompt, 7, ("piano", "bass"))
    assert b"secret" not in recipe_copy.path.read_bytes()
    assert (read_frames(recipe_copy.path).pixels == read_frames(clip.path).pixels).all()


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
async def test_a_still_with_recipe_keeps_its_pixels_and_is_signed(
    suffix: str, clip: Clip, identity: Identity, ffmpeg: Ffmpeg, tmp_path: Path
) -> None:
    still = tmp_path / f"still{suffix}"
    Image.effect_noise((96, 64), 40).convert("RGB").save(still)
    still.write_bytes(with_metadata(still.read_bytes(), ai_label_tags("ltx")))
    sign_file(still, identity=identity, model="ltx")
    assert read_recipe(still) is None
    plain = structs.replace(clip, path=still)
    recipe_copy = await with_recipe(
        plain, REQUEST, still.with_stem("with-recipe"), ffmpeg=ffmpeg, identity=identity
    )
    recipe = read_recipe(recipe_copy.path)
    assert recipe is not None
    assert recipe.to_json() == provenance.recipe_data(REQUEST)
    data = recipe_copy.path.read_bytes()
    assert (len(data), b"secret" in data) == (recipe_copy.size, False)
    assert read_metadata(data, "comment").startswith("AI-generated")
    report = verify(recipe_copy.path, identity=identity)
    assert (report.status, report.ours, report.model) == (SignatureStatus.VALID, True, "ltx")
    assert Image.open(recipe_copy.path).tobytes() == Image.open(still).tobytes()
    recipe_offset = data.index("«здесь»".encode())
    recipe_copy.path.write_bytes(data[:recipe_offset] + b"?" + data[recipe_offset + 1 :])
    assert verify(recipe_copy.path).status is SignatureStatus.BROKEN


@pytest.mark.parametrize("head", [PNG, JPEG])
def test_a_malformed_still_has_no_recipe_and_raises_nothing(head: bytes, tmp_path: Path) -> None:
    rng, path = random.Random(5), tmp_path / "still.png"
    for size in (*range(40), 3000):
        path.write_bytes(head + rng.randbytes(size))
        assert read_recipe(path) is None
    for huge in (b"\xff\xff\xff\xffiTXtsynopsis\0", b"\xff\xfe\xff\xffsynopsis=", b"\xff\xfe\0\0" * 400):
        path.write_bytes(head + huge)
        assert read_recipe(path) is None


@pytest.mark.parametrize(
    "change",
    [{"seed": "7"}, {"image": "/etc/passwd"}, {"kind": "virus"}, {"fps": None}, {"prompt": "x" * 9999}],
)
async def test_an_invalid_recipe_is_ignored(
    change: dict[str, object], clip: Clip, ffmpeg: Ffmpeg, tmp_path: Path
) -> None:
    import json  # noqa: PLC0415  (used only here)

    text = json.dumps(provenance.recipe_data(REQUEST) | change)
    forged = await mux_new_music(clip, None, tmp_path / "forged.mp4", ffmpeg=ffmpeg, tags={"synopsis": text})
    assert read_recipe(forged.path) is None


def test_the_key_is_private_and_is_reused(tmp_path: Path) -> None:
    first = load_or_create_identity(tmp_path)
    assert stat.S_IMODE((tmp_path / "identity" / "key.pem").stat().st_mode) == 0o600
    assert load_or_create_identity(tmp_path) == first
    assert "PRIVATE" not in repr(first)


def test_a_broken_certificate_raises_encode_failed(tmp_path: Path) -> None:
    load_or_create_identity(tmp_path)
    (tmp_path / "identity" / "key.pem").write_text("not a key")
    with pytest.raises(EncodeFailed) as caught:
        load_or_create_identity(tmp_path)
    assert "certificate" in caught.value.detail
