"""Derivatives: a button is offered only if it works, and it acts on the clip above it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import structs
from PIL import Image

from bot.domain.jobs import Action, Job, JobState
from bot.studio import derivatives
from bot.studio.studio import Submission
from generation.clip import Clip
from generation.errors import AttachmentRefused, NotOffered
from generation.request import Kind, Limits, Wish
from tests.bot.app_harness import PRESETS, AppHarness, running_app
from tests.factories import (
    make_clip,
    make_job,
    make_music,
    make_reply_to,
    make_request,
    make_viewer,
)

pytestmark = pytest.mark.slow

MUSIC = make_music(seed=5)


def delivered_job(model: str, *, kind: Kind = Kind.VIDEO, size: tuple[int, int] | None = None) -> Job:
    limits = PRESETS[model].limits
    width, height = size or (limits.width, limits.height)
    frames = 1 if kind is Kind.IMAGE else limits.frames_for(limits.seconds, limits.fps)
    request = make_request(
        "a fox",
        kind=kind,
        model=model,
        width=width,
        height=height,
        frames=frames,
        fps=limits.fps,
        music=MUSIC,
    )
    return make_job(request, id=7, state=JobState.DELIVERED, clip=make_clip(request, audio=True))


@pytest.mark.parametrize("name", [name for name, p in PRESETS.items() if Kind.BIGGER in p.limits.kinds])
def test_bigger_is_offered_only_below_the_largest_size(name: str) -> None:
    job, limits = delivered_job(name), PRESETS[name].limits
    assert job.clip is not None
    if "bigger" not in derivatives.available_derivatives(job, PRESETS, name):
        assert limits.enlarged_size(limits.width, limits.height) is None
        return
    request = derivatives.enlarge_request(job.request, job.clip, limits)
    assert request.width * request.height >= 1.3 * job.clip.width * job.clip.height
    same = structs.replace(
        request, kind=Kind.VIDEO, width=job.clip.width, height=job.clip.height, source=None
    )
    assert same == job.request


def test_most_models_can_enlarge_their_default_size() -> None:
    offering = [name for name, p in PRESETS.items() if Kind.BIGGER in p.limits.kinds]
    grown = [
        name
        for name in offering
        if "bigger" in derivatives.available_derivatives(delivered_job(name), PRESETS, name)
    ]
    assert {"ltx", "ltx-distilled", "wan", "animatediff-lightning", "zeroscope"} <= set(grown)


@given(st.integers(128, 1280), st.integers(128, 1280), st.sampled_from(sorted(PRESETS)))
@example(570, 783, "pocket")  # rounding both sides up would exceed the limit by a few pixels
def test_a_larger_size_is_on_the_grid_larger_and_within_bounds(width: int, height: int, model: str) -> None:
    limits = PRESETS[model].limits
    found = limits.enlarged_size(width, height)
    if found is not None:
        assert all(side % limits.side_multiple == 0 for side in found)
        assert found[0] <= 2 * width
        assert found[1] <= 2 * height
        assert width * height < found[0] * found[1] <= max(limits.max_pixels, limits.bigger_pixels)


def test_a_clip_of_the_largest_size_has_no_button_and_is_refused() -> None:
    job = delivered_job("ltx", size=(1280, 736))
    assert job.clip is not None
    assert "bigger" not in derivatives.available_derivatives(job, PRESETS, "ltx")
    with pytest.raises(NotOffered):
        derivatives.enlarge_request(job.request, job.clip, PRESETS["ltx"].limits)


def test_an_image_is_animated_by_a_model_that_supports_it() -> None:
    still = delivered_job("sd15", kind=Kind.IMAGE)
    assert derivatives.available_derivatives(still, PRESETS, "wan22") == ("animate",)
    assert derivatives.animation_model("sd15", PRESETS, "wan22") == "wan22"
    assert derivatives.animation_model("sd15", PRESETS, "modelscope") == "testcard"
    assert derivatives.available_derivatives(still, {"sd15": PRESETS["sd15"]}, "sd15") == ()


def test_an_extended_clip_keeps_its_size_and_frame_rate() -> None:
    job = delivered_job("ltx", size=(448, 768))
    assert job.clip is not None
    request = derivatives.extend_request(job.request, job.clip, PRESETS["ltx"].limits, seed=9)
    assert (request.width, request.height, request.fps, request.seed) == (448, 768, job.clip.fps, 9)
    assert json.loads(json.dumps(request.to_json()))["source"] == "clip.mp4"


@pytest.mark.parametrize(
    ("size", "aspect"),
    [((1000, 900), "1:1"), ((4000, 3000), None), ((900, 1600), "9:16"), ((300, 100), "16:9")],
)
def test_a_picture_gets_the_aspect_that_crops_least(size: tuple[int, int], aspect: str | None) -> None:
    assert derivatives.nearest_aspect(*size, PRESETS["ltx"].limits) == aspect


async def make_delivered_clip(app: AppHarness) -> int:
    submission = await app.ask()
    app.engine.finish(await app.engine_label(submission.job.id))
    await app.wait_for_state(submission.job.id, JobState.DELIVERED)
    return submission.job.id


async def test_a_button_makes_the_same_clip_larger_with_the_same_music(tmp_path: Path) -> None:
    async with running_app(tmp_path) as app:
        first = await app.store.job(await make_delivered_clip(app))
        assert {"extend", "bigger"} <= set(app.studio.available_derivatives(first))
        made = await app.studio.perform(Action("bigger", first.id), make_viewer("ana"), first.reply_to)
        assert isinstance(made, Submission)
        request, old = made.job.request, first.request
        assert (request.kind, request.seed, request.music) == (Kind.BIGGER, old.seed, old.music)
        assert request.width > first.request.width
        await app.studio.cancel(first.id + 1, make_viewer("ana"))


@pytest.mark.parametrize("kind", ["bomb", "text"])
async def test_a_bad_picture_is_refused_before_charging(tmp_path: Path, kind: str) -> None:
    picture = tmp_path / "in.png"
    if kind == "bomb":
        Image.new("1", (30_000, 30_000)).save(picture)
    else:
        picture.write_text("no picture")
    wish = Wish(prompt="it moves", kind=Kind.ANIMATE, model="testcard", image=str(picture))
    async with running_app(tmp_path / "data") as app:
        with pytest.raises(AttachmentRefused):
            await app.studio.submit(wish, make_viewer("ana"), make_reply_to())
        assert await app.store.waiting(1) == []
        assert (await app.studio.balance(make_viewer("ana"))).used == 0


def test_an_uploaded_clip_keeps_its_aspect_or_the_nearest(tmp_path: Path) -> None:
    shapes = {"9:16": (448, 768), "16:9": (768, 448)}
    limits = Limits(width=704, height=512, aspects=shapes, max_pixels=942080)
    wish = Wish(prompt="on", kind=Kind.EXTEND, source="x.mp4")
    tall = Clip(path=tmp_path, width=1080, height=1920, fps=24, frames=48, seconds=2, size=1, audio=False)
    assert derivatives.fill_from_clip(wish, tall, limits).aspect == "9:16"
    small = structs.replace(tall, width=320, height=256)
    done = derivatives.fill_from_clip(wish, small, limits)
    assert (done.width, done.height, done.fps) == (320, 256, 24)
