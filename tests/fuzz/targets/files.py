"""Files of strangers: pictures, sounds, clips, recipes in them, and signed marks."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from bot.cli.recipe_command import command_line
from bot.cli.tables import recipe as recipe_table
from bot.domain.errors import USER_ERRORS
from bot.frontends.common.recipe_command import file_recipe, slash_command
from bot.frontends.telegram.recipe_text import recipe_command
from generation.clip import Frames
from generation.errors import AttachmentRefused
from generation.media import format_checks, image_metadata, provenance
from generation.media.ffmpeg import find
from generation.media.mux import mux
from generation.media.signing_identity import load_or_create_identity
from generation.request import Kind, Request, Wish
from tests.bot.app_harness import open_studio
from tests.factories import make_music, make_reply_to, make_request, make_viewer
from tests.fakes import hostile_files
from tests.fakes.wav_samples import wav_bytes
from tests.fuzz.target import Call, Target, to_json

RECIPE = provenance.recipe_data(make_request(style="noir", negative="blur", music=make_music(mood="calm")))
KINDS = ("picture", "sound", "recipe", "clip")


def _encoded(kind: str, **options: object) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (24, 16), "orange").save(data, kind, **options)
    return data.getvalue()


@cache
def pictures() -> tuple[bytes, ...]:
    exif = Image.Exif()
    exif[0x0112] = 6
    return (
        _encoded("PNG"),
        _encoded("JPEG", exif=exif),
        _encoded("JPEG", progressive=True),
        _encoded("WEBP"),
        _encoded("WEBP", lossless=True),
        *(data for data in hostile_files.PICTURES.values() if len(data) < 20_000),
        hostile_files.recipe_png(json.dumps(RECIPE)),
    )


@cache
def sounds() -> tuple[bytes, ...]:
    return (wav_bytes()[:20_000], hostile_files.flac(44_100, frames=8), *hostile_files.SOUNDS.values())


@cache
def clips() -> tuple[bytes, ...]:
    """The sample clip of /start, and small files with odd tables."""
    return (SAMPLE_CLIP.read_bytes(), hostile_files.mp4(), *hostile_files.RECIPES.values())


SAMPLE_CLIP = Path(__file__).parents[3] / "bot/frontends/telegram/hello.mp4"


@asynccontextmanager
async def _check_picture(_: Path) -> AsyncIterator[Call]:
    def call(data: bytes) -> None:
        format_checks.check_picture(data)

    yield call


@asynccontextmanager
async def _check_sound(_: Path) -> AsyncIterator[Call]:
    yield format_checks.check_sound


@asynccontextmanager
async def _check_mp4(_: Path) -> AsyncIterator[Call]:
    yield format_checks.check_mp4


@asynccontextmanager
async def _metadata(folder: Path) -> AsyncIterator[Call]:
    path = folder / "still"

    def call(data: bytes) -> None:
        image_metadata.read_metadata(data, "synopsis")
        if image_metadata.is_still(data):
            path.write_bytes(data)
            use_recipe(provenance.read_recipe(path))

    yield call


@asynccontextmanager
async def _recipe(folder: Path) -> AsyncIterator[Call]:
    path = folder / "still.png"
    head, tail = hostile_files.recipe_png("@").split(b"@")
    start = head.rindex(b"iTXt")

    def call(data: bytes) -> None:
        content = head[start:] + data
        path.write_bytes(head[: start - 4] + struct.pack(">I", len(content) - 4) + content + tail)
        use_recipe(provenance.read_recipe(path))

    yield call


def use_recipe(request: Request | None) -> None:
    """Do what every frontend does with a recipe."""
    if request is None:
        return
    texts = [slash_command(request), recipe_command(request), command_line(request) or ""]
    texts += [text for row in recipe_table(request, title="A file").rows for text in row]
    texts += [file_recipe(request, "a.png", "en", slash_command).command]
    texts += [json.dumps(request.to_json(), ensure_ascii=False)]
    for text in texts:
        text.encode()


def upload_seeds() -> Sequence[bytes]:
    """The first byte says as what the file is sent."""
    found = {"picture": pictures(), "sound": sounds(), "recipe": (*pictures(), *clips()), "clip": clips()}
    return [bytes((KINDS.index(kind),)) + data for kind, files in found.items() for data in files]


@asynccontextmanager
async def _uploads(folder: Path) -> AsyncIterator[Call]:
    """The whole way of an attached file, with the real child process."""
    viewer, chat = make_viewer("ana", admin=True), make_reply_to()
    stored = folder / "uploads"
    async with open_studio(folder) as (_, studio, _events):

        async def call(data: bytes) -> None:
            kind, content = KINDS[data[0] % len(KINDS)] if data else "picture", data[1:]

            async def fetch() -> bytes:
                return content

            try:
                if kind == "recipe":
                    use_recipe(await studio.read_attached_recipe("a.png", len(content), fetch, viewer))
                elif kind == "clip":
                    path = folder / "a.mp4"
                    path.write_bytes(content)
                    await studio.submit(Wish(prompt="a", kind=Kind.EXTEND, source=str(path)), viewer, chat)
                else:
                    async with studio.receive_uploads(viewer) as intake:
                        receive = intake.picture if kind == "picture" else intake.sound
                        Path(await receive("a.png", len(content), fetch)).unlink()
            finally:
                left = [path for path in stored.rglob("*") if path.is_file()]
                assert left == [], "a refused file stays on the disk"

        yield call


@cache
def signed_files() -> tuple[bytes, ...]:
    """Files with a signature of ours, each behind a byte for its kind."""
    import asyncio  # noqa: PLC0415
    import tempfile  # noqa: PLC0415
    import threading  # noqa: PLC0415

    made: list[bytes] = []

    def make() -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            identity = load_or_create_identity(folder)
            frames = Frames(np.zeros((4, 32, 32, 3), np.uint8), 4.0)
            clip = asyncio.run(mux(frames, None, folder / "a.mp4", ffmpeg=find()))
            paths = [clip.path, folder / "a.png", folder / "a.jpg"]
            Image.new("RGB", (24, 16), "orange").save(paths[1])
            Image.new("RGB", (24, 16), "orange").save(paths[2])
            for number, path in enumerate(paths):
                made.append(bytes((number,)) + path.read_bytes())
                provenance.sign_file(path, identity=identity, model="Test card")
                made.append(bytes((number,)) + path.read_bytes())

    thread = threading.Thread(target=make)  # a loop of its own, beside the one that may run here
    thread.start()
    thread.join()
    return tuple(made)


@asynccontextmanager
async def _verify(folder: Path) -> AsyncIterator[Call]:
    identity = load_or_create_identity(folder)

    def call(data: bytes) -> None:
        suffix = (".mp4", ".png", ".jpg")[(data[0] if data else 0) % 3]
        path = folder / f"foreign{suffix}"
        path.write_bytes(data[1:])
        report = provenance.verify(path, identity=identity)
        str(report.model).encode()

    yield call


TARGETS = (
    Target(
        name="picture headers",
        shape="bytes",
        seeds=pictures,
        open=_check_picture,
        answers=(AttachmentRefused,),
        covers=("generation.media.format_checks:check_picture",),
    ),
    Target(
        name="sound headers",
        shape="bytes",
        seeds=sounds,
        open=_check_sound,
        answers=(AttachmentRefused,),
        covers=("generation.media.format_checks:check_sound",),
    ),
    Target(
        name="mp4 tables",
        shape="bytes",
        seeds=clips,
        open=_check_mp4,
        answers=(AttachmentRefused,),
        covers=("generation.media.format_checks:check_mp4",),
    ),
    Target(
        name="metadata of a still",
        shape="bytes",
        seeds=pictures,
        open=_metadata,
        covers=("generation.media.image_metadata:read_metadata",),
    ),
    Target(
        name="recipe as JSON",
        shape="json",
        seeds=lambda: [to_json(RECIPE)],
        open=_recipe,
        covers=("generation.media.provenance:read_recipe", "generation.request:Request.from_json"),
        share=2,
    ),
    Target(
        name="attached file, opened by the child",
        shape="bytes",
        seeds=upload_seeds,
        open=_uploads,
        answers=USER_ERRORS,
        covers=(
            "generation.media.guarded_child:main",
            "generation.media.guarded_reader:*",
            "generation.media.guarded_process:*",
            "generation.media.picture_decode:decode_picture",
            "generation.media.audio_decode:_decoded",
            "generation.media.probe:probe",
            "generation.clip:Clip.from_json",
        ),
        share=5,
        seconds=40,
        reopen_after=200,
    ),
    Target(
        name="signed mark of a foreign file",
        shape="bytes",
        seeds=signed_files,
        open=_verify,
        covers=("generation.media.provenance:verify", "generation.media.provenance:_parse_report"),
        share=2,
        megabytes=128,
    ),
)
