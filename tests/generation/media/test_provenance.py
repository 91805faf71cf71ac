"""Every file says that a machine made it, provably; its recipe is in it only when asked for."""

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
from generation.media.identity import Identity, own
from generation.media.image_metadata import JPEG, PNG, caption, captioned
from generation.media.mux import mux, rescore
from generation.media.probe import as_clip, check, probe, read_frames
from generation.media.provenance import Mark, mark, read_recipe, verify, with_recipe, words
from generation.request import Kind, Music, Request
from tests.generation.media.conftest import moving, noise

REQUEST = Request(
    prompt="a fox in the snow; it's -20° «здесь»",
    kind=Kind.ANIMATE,
    model="ltx",
    width=96,
    height=64,
    frames=12,
    fps=12.0,
    seed=7,
    steps=8,
    guidance=1.0,
    music=Music(genre="lofi", maker="band", instruments=("piano", "bass"), seed=3, track="/secret/song.mp3"),
    image="/secret/face.png",
)


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    return own(tmp_path)


@pytest.fixture
async def clip(ffmpeg: Ffmpeg, identity: Identity, tmp_path: Path) -> Clip:
    made = await mux(moving(), noise(1.0), tmp_path / "clip.mp4", ffmpeg=ffmpeg, tags=words("ltx"))
    mark(made.path, identity=identity, model="ltx")
    return as_clip(made.path, poster=made.poster)


async def test_a_marked_clip_says_what_made_it_and_plays(
    clip: Clip, identity: Identity, ffmpeg: Ffmpeg
) -> None:
    verdict = verify(clip.path, identity=identity)
    assert (verdict.mark, verdict.ours, verdict.made_by_ai, verdict.model) == (Mark.HOLDS, True, True, "ltx")
    assert verdict.software is not None
    assert verdict.software.startswith("Matinee")
    assert "AI-generated" in probe(clip.path).tags["comment"]
    await check(clip.path, frames=12, fps=12.0, audio=True, ffmpeg=ffmpeg)
    data = clip.path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


async def test_another_studios_mark_holds_but_is_not_ours(clip: Clip, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    verdict = verify(clip.path, identity=own(tmp_path / "other"))
    assert (verdict.mark, verdict.ours) == (Mark.HOLDS, False)


def _box_heads(data: bytes) -> list[int]:
    at, heads = 0, list[int]()
    while at < len(data):
        heads += range(at, at + 8)
        at += int.from_bytes(data[at : at + 4])
    return heads


async def test_any_flipped_bit_breaks_the_mark(clip: Clip, tmp_path: Path) -> None:
    """Also in the file's type, in the heads of its boxes, and in the padding that C2PA does not hash."""
    data, draw = clip.path.read_bytes(), random.Random(11)
    mark_at, index_at = data.index(b"uuid") - 4, data.index(b"moov") - 4
    offsets = {*_box_heads(data), *range(mark_at, mark_at + 120), *range(mark_at, index_at, 32)}
    for at in sorted(offsets) + [draw.randrange(len(data)) for _ in range(200)]:
        flipped = bytearray(data)
        flipped[at] ^= 1 << draw.randrange(8)
        copy = tmp_path / "flipped.mp4"
        copy.write_bytes(flipped)
        assert verify(copy).mark is Mark.BROKEN, at


@pytest.mark.parametrize("extra", [b"\0", bytes(100), b"\0\0\0\x08free", b"\0\0\0\x0cmfraxxxx"])
async def test_anything_put_behind_the_file_breaks_the_mark(extra: bytes, clip: Clip, tmp_path: Path) -> None:
    (tmp_path / "longer.mp4").write_bytes(clip.path.read_bytes() + extra)
    assert verify(tmp_path / "longer.mp4").mark is Mark.BROKEN


async def test_a_file_cut_at_any_of_twenty_places_has_no_mark_that_holds(clip: Clip, tmp_path: Path) -> None:
    data = clip.path.read_bytes()
    for twentieth in range(20):
        (tmp_path / "cut.mp4").write_bytes(data[: len(data) * twentieth // 20])
        assert verify(tmp_path / "cut.mp4").mark is not Mark.HOLDS, twentieth


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_any_flipped_bit_breaks_a_pictures_mark(suffix: str, identity: Identity, tmp_path: Path) -> None:
    picture, draw = tmp_path / f"picture{suffix}", random.Random(5)
    Image.fromarray(moving(1, 48, 32).pixels[0]).save(picture)
    mark(picture, identity=identity, model="sd")
    assert verify(picture, identity=identity).ours
    data = picture.read_bytes()
    for at in [*range(0, len(data), 24), *(draw.randrange(len(data)) for _ in range(60))]:
        flipped = bytearray(data)
        flipped[at] ^= 1 << draw.randrange(8)
        copy = tmp_path / f"flipped{suffix}"
        copy.write_bytes(flipped)
        assert verify(copy).mark is Mark.BROKEN, at


async def test_every_route_ends_in_a_mark_that_holds(
    clip: Clip, identity: Identity, ffmpeg: Ffmpeg, tmp_path: Path
) -> None:
    def seal(path: Path) -> None:
        mark(path, identity=identity, model="ltx")

    scored = await rescore(clip, noise(1.0, level=0.02), tmp_path / "scored.mp4", ffmpeg=ffmpeg)
    seal(scored.path)
    longer = moving(20)
    extended = await mux(longer, noise(1.6), tmp_path / "extended.mp4", ffmpeg=ffmpeg)
    seal(extended.path)
    fitted = await fit(clip, clip.size * 9 // 10, ffmpeg=ffmpeg, identity=identity)
    told = await with_recipe(clip, REQUEST, tmp_path / "told.mp4", ffmpeg=ffmpeg, identity=identity)
    poster = clip.poster
    assert poster is not None
    seal(poster)
    for path in (clip.path, scored.path, extended.path, fitted.path, told.path, poster):
        assert verify(path, identity=identity).ours, path.name
    assert fitted.path != clip.path


async def test_a_copy_without_its_mark_is_told_from_a_marked_one(
    clip: Clip, ffmpeg: Ffmpeg, tmp_path: Path
) -> None:
    stripped = await rescore(clip, None, tmp_path / "stripped.mp4", ffmpeg=ffmpeg)
    assert verify(stripped.path).mark is Mark.ABSENT


def test_what_is_no_clip_has_no_mark_that_holds(tmp_path: Path) -> None:
    for name, data in (("a.mp4", b""), ("b.mp4", b"#EXTM3U\n/etc/passwd"), ("c.mp4", bytes(5000))):
        (tmp_path / name).write_bytes(data)
        assert verify(tmp_path / name).mark is not Mark.HOLDS
        assert read_recipe(tmp_path / name) is None


async def test_the_recipe_comes_back_as_the_request_without_anybodys_paths(
    clip: Clip, identity: Identity, each_ffmpeg: Ffmpeg, tmp_path: Path
) -> None:
    told = await with_recipe(clip, REQUEST, tmp_path / "told.mp4", ffmpeg=each_ffmpeg, identity=identity)
    back = read_recipe(told.path)
    assert back is not None
    assert back.to_json() == provenance.recipe(REQUEST)
    assert (back.prompt, back.seed, back.music.instruments) == (REQUEST.prompt, 7, ("piano", "bass"))
    assert b"secret" not in told.path.read_bytes()
    assert (read_frames(told.path).pixels == read_frames(clip.path).pixels).all()


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
async def test_a_still_tells_its_recipe_too_and_keeps_its_pixels_and_its_mark(
    suffix: str, clip: Clip, identity: Identity, ffmpeg: Ffmpeg, tmp_path: Path
) -> None:
    still = tmp_path / f"still{suffix}"
    Image.effect_noise((96, 64), 40).convert("RGB").save(still)
    still.write_bytes(captioned(still.read_bytes(), words("ltx")))
    mark(still, identity=identity, model="ltx")
    assert read_recipe(still) is None
    plain = structs.replace(clip, path=still)
    told = await with_recipe(plain, REQUEST, still.with_stem("told"), ffmpeg=ffmpeg, identity=identity)
    back = read_recipe(told.path)
    assert back is not None
    assert back.to_json() == provenance.recipe(REQUEST)
    data = told.path.read_bytes()
    assert (len(data), b"secret" in data) == (told.size, False)
    assert caption(data, "comment").startswith("AI-generated")
    verdict = verify(told.path, identity=identity)
    assert (verdict.mark, verdict.ours, verdict.model) == (Mark.HOLDS, True, "ltx")
    assert Image.open(told.path).tobytes() == Image.open(still).tobytes()
    said = data.index("«здесь»".encode())
    told.path.write_bytes(data[:said] + b"?" + data[said + 1 :])
    assert verify(told.path).mark is Mark.BROKEN


@pytest.mark.parametrize("head", [PNG, JPEG])
def test_a_still_from_a_stranger_tells_nothing_and_does_no_harm(head: bytes, tmp_path: Path) -> None:
    draw, path = random.Random(5), tmp_path / "still.png"
    for size in (*range(40), 3000):
        path.write_bytes(head + draw.randbytes(size))
        assert read_recipe(path) is None
    for huge in (b"\xff\xff\xff\xffiTXtsynopsis\0", b"\xff\xfe\xff\xffsynopsis=", b"\xff\xfe\0\0" * 400):
        path.write_bytes(head + huge)
        assert read_recipe(path) is None


@pytest.mark.parametrize(
    "change",
    [{"seed": "7"}, {"image": "/etc/passwd"}, {"kind": "virus"}, {"fps": None}, {"prompt": "x" * 9999}],
)
async def test_a_recipe_that_makes_no_sense_is_none(
    change: dict[str, object], clip: Clip, ffmpeg: Ffmpeg, tmp_path: Path
) -> None:
    import json  # noqa: PLC0415  (only here)

    text = json.dumps(provenance.recipe(REQUEST) | change)
    forged = await rescore(clip, None, tmp_path / "forged.mp4", ffmpeg=ffmpeg, tags={"synopsis": text})
    assert read_recipe(forged.path) is None


def test_the_key_is_for_its_owner_only_and_stays(tmp_path: Path) -> None:
    first = own(tmp_path)
    assert stat.S_IMODE((tmp_path / "identity" / "key.pem").stat().st_mode) == 0o600
    assert own(tmp_path) == first
    assert "PRIVATE" not in repr(first)


def test_a_broken_certificate_is_told(tmp_path: Path) -> None:
    own(tmp_path)
    (tmp_path / "identity" / "key.pem").write_text("not a key")
    with pytest.raises(EncodeFailed) as caught:
        own(tmp_path)
    assert "certificate" in caught.value.detail
