"""A private download contains the recipe of the clip; a public clip does not by default."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs
from PIL import Image

from bot.cli.parser import build_parser
from bot.cli.recipe_command import command_line
from bot.cli.wish_arguments import wish_from_arguments
from bot.domain.errors import USER_ERRORS
from bot.domain.jobs import Job
from bot.frontends.common.recipe_command import slash_command
from bot.i18n.messages import explain
from bot.pipeline.recipe_embedding import RecipeEmbedder
from generation.clip import Clip, Frames
from generation.errors import LimitTooSmall
from generation.media.ffmpeg import find
from generation.media.mux import mux
from generation.media.provenance import SignatureStatus, read_recipe, sign_file, verify
from generation.media.signing_identity import load_or_create_identity
from generation.request import Kind
from tests.bot.app_harness import CREDITS, open_studio, running_app
from tests.factories import make_job, make_music, make_reply_to, make_request, make_requester, make_viewer

REQUEST = make_request(
    'a fox\'s dream, in "snow" --seed 3; rm -rf $HOME',
    width=96,
    height=64,
    fps=12.0,
    steps=2,
    guidance=1.5,
    music=make_music(mood="calm", bpm=82.0, seed=3),
    negative="blur",
)
ANA = make_requester("1", platform="telegram")


@pytest.fixture
async def clip(tmp_path: Path) -> Clip:
    shades = np.arange(24, dtype=np.uint8)[:, None, None, None] * np.full((1, 64, 96, 3), 9, np.uint8)
    made = await mux(Frames(shades, 12.0), None, tmp_path / "clip.mp4", ffmpeg=find())
    sign_file(made.path, identity=load_or_create_identity(tmp_path), model="Test card")
    return made


def job_in_chat(*, private: bool, **facts: object) -> Job:
    reply_to = make_reply_to(platform="telegram", private=private, facts=facts)
    return make_job(REQUEST, requester=ANA, reply_to=reply_to)


@pytest.mark.parametrize(
    ("private", "setting", "embedded"),
    [(True, None, True), (False, None, False), (False, True, True), (True, False, False)],
)
async def test_a_recipe_is_embedded_where_its_author_allows(
    *, private: bool, setting: bool | None, embedded: bool, clip: Clip, tmp_path: Path
) -> None:
    async with open_studio(tmp_path / "data") as (store, _, _):
        await store.change_setting(ANA.key, "recipe", setting)
        packed = await RecipeEmbedder(store, find(), load_or_create_identity(tmp_path)).embed(
            job_in_chat(private=private), clip, 0
        )
    found = read_recipe(packed.path)
    assert (found is not None) is embedded
    assert found is None or (found.prompt, found.seed, found.music) == (REQUEST.prompt, 7, REQUEST.music)
    verdict = verify(packed.path, identity=load_or_create_identity(tmp_path))
    assert (verdict.status, verdict.ours, verdict.model) == (SignatureStatus.VALID, True, "Test card")


async def test_a_recipe_is_embedded_in_a_still_too(clip: Clip, tmp_path: Path) -> None:
    Image.new("RGB", (96, 64)).save(tmp_path / "still.png")
    still = structs.replace(clip, path=tmp_path / "still.png")
    async with open_studio(tmp_path / "data") as (store, _, _):
        packed = await RecipeEmbedder(store, find(), load_or_create_identity(tmp_path)).embed(
            job_in_chat(private=True), still, 0
        )
    assert packed.path.name == "still.recipe.png"
    assert read_recipe(packed.path) is not None


async def test_a_recipe_never_makes_a_clip_too_large(clip: Clip, tmp_path: Path) -> None:
    async with open_studio(tmp_path / "data") as (store, _, _):
        packed = await RecipeEmbedder(store, find(), load_or_create_identity(tmp_path)).embed(
            job_in_chat(private=True), clip, clip.size + 10
        )
    assert packed == clip


def test_a_stills_recipe_has_only_its_commands_options() -> None:
    still = structs.replace(REQUEST, kind=Kind.IMAGE, prompt="a kite", negative="", style=None)
    assert slash_command(still) == f"/image prompt: a kite model: {REQUEST.model} seed: 7"


def test_a_recipe_command_reproduces_the_request() -> None:
    line = command_line(REQUEST)
    assert line is not None
    wish = wish_from_arguments(build_parser().parse_args(shlex.split(line)[1:]))
    assert (wish.prompt, wish.negative, wish.seed, wish.steps) == (REQUEST.prompt, "blur", 7, 2)
    assert (wish.width, wish.height, wish.fps, wish.seconds) == (96, 64, 12.0, 2.0)
    assert (wish.music.genre, wish.music.mood, wish.music.instruments) == ("lofi", "calm", ("piano", "bass"))


async def test_too_small_a_size_limit_is_refused_before_charging(tmp_path: Path) -> None:
    async with running_app(tmp_path) as app:
        with pytest.raises(LimitTooSmall) as caught:
            await app.ask(limit=2_000)
        assert await app.store.waiting(1) == []
        assert (await app.studio.balance(make_viewer("ana"))).left == CREDITS
        assert (await app.ask(limit=caught.value.floor)).job.id == 1
    assert isinstance(caught.value, USER_ERRORS)
    assert "2 kB" in explain(caught.value)
