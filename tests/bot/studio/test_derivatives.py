"""A button is shown where it would work, and what it asks for is the clip that it stands under."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import structs
from PIL import Image

from bot.domain.jobs import Action, Job, ReplyTo, State
from bot.studio import derivatives
from bot.studio.studio import Ticket
from generation.clip import Clip
from generation.errors import AttachmentRefused, NotOffered
from generation.request import Kind, Limits, Music, Request, Wish
from tests.bot.app_harness import PRESETS, Together, together, who

MUSIC = Music(genre="lofi", maker="band", seed=5)


def a_job(model: str, *, kind: Kind = Kind.VIDEO, size: tuple[int, int] | None = None) -> Job:
    limits = PRESETS[model].limits
    width, height = size or (limits.width, limits.height)
    frames = 1 if kind is Kind.IMAGE else limits.frames_for(limits.seconds, limits.fps)
    seconds = frames / limits.fps
    facts: dict[str, Any] = {"width": width, "height": height, "frames": frames, "fps": limits.fps}
    request = Request(
        prompt="a fox", kind=kind, model=model, seed=3, steps=4, guidance=1.0, music=MUSIC, **facts
    )
    clip = Clip(path=Path("clip.mp4"), seconds=seconds, size=9, audio=True, **facts)
    reply_to = ReplyTo(platform="fake", chat="c")
    return Job(
        id=7,
        request=request,
        requester=who("ana"),
        reply_to=reply_to,
        state=State.DELIVERED,
        cost=1,
        clip=clip,
    )


@pytest.mark.parametrize("name", [name for name, p in PRESETS.items() if Kind.BIGGER in p.limits.kinds])
def test_whoever_offers_bigger_has_room_for_it_or_shows_no_button(name: str) -> None:
    job, limits = a_job(name), PRESETS[name].limits
    assert job.clip is not None
    if "bigger" not in derivatives.verbs(job, PRESETS, name):
        assert limits.larger(limits.width, limits.height) is None
        return
    request = derivatives.larger(job.request, job.clip, limits)
    assert request.width * request.height >= 1.3 * job.clip.width * job.clip.height
    same = structs.replace(
        request, kind=Kind.VIDEO, width=job.clip.width, height=job.clip.height, source=None
    )
    assert same == job.request


def test_most_models_that_offer_bigger_have_room_for_it_at_their_own_size() -> None:
    offering = [name for name, p in PRESETS.items() if Kind.BIGGER in p.limits.kinds]
    grown = [name for name in offering if "bigger" in derivatives.verbs(a_job(name), PRESETS, name)]
    assert {"ltx", "ltx-distilled", "wan", "animatediff-lightning", "zeroscope"} <= set(grown)


@given(st.integers(128, 1280), st.integers(128, 1280), st.sampled_from(sorted(PRESETS)))
@example(570, 783, "pocket")  # both sides rounded up would be a few pixels too many
def test_a_larger_size_is_on_the_grid_larger_and_within_bounds(width: int, height: int, model: str) -> None:
    limits = PRESETS[model].limits
    found = limits.larger(width, height)
    if found is not None:
        assert all(side % limits.side_multiple == 0 for side in found)
        assert found[0] <= 2 * width
        assert found[1] <= 2 * height
        assert width * height < found[0] * found[1] <= max(limits.max_pixels, limits.bigger_pixels)


def test_a_clip_at_its_largest_has_no_button_and_cannot_be_asked_for() -> None:
    job = a_job("ltx", size=(1280, 736))
    assert job.clip is not None
    assert "bigger" not in derivatives.verbs(job, PRESETS, "ltx")
    with pytest.raises(NotOffered):
        derivatives.larger(job.request, job.clip, PRESETS["ltx"].limits)


def test_a_still_moves_by_whoever_can() -> None:
    still = a_job("sd15", kind=Kind.IMAGE)
    assert derivatives.verbs(still, PRESETS, "wan22") == ("animate",)
    assert derivatives.animator("sd15", PRESETS, "wan22") == "wan22"
    assert derivatives.animator("sd15", PRESETS, "modelscope") == "testcard"
    assert derivatives.verbs(still, {"sd15": PRESETS["sd15"]}, "sd15") == ()


def test_a_clip_goes_on_in_its_own_size_and_pace() -> None:
    job = a_job("ltx", size=(448, 768))
    assert job.clip is not None
    request = derivatives.longer(job.request, job.clip, PRESETS["ltx"].limits, seed=9)
    assert (request.width, request.height, request.fps, request.seed) == (448, 768, job.clip.fps, 9)
    assert json.loads(json.dumps(request.to_json()))["source"] == "clip.mp4"


@pytest.mark.parametrize(
    ("size", "aspect"),
    [((1000, 900), "1:1"), ((4000, 3000), None), ((900, 1600), "9:16"), ((300, 100), "16:9")],
)
def test_a_picture_gets_the_shape_that_cuts_least_off_it(size: tuple[int, int], aspect: str | None) -> None:
    assert derivatives.nearest_aspect(*size, PRESETS["ltx"].limits) == aspect


async def a_finished_clip(house: Together) -> int:
    ticket = await house.ask()
    house.engine.finish(await house.label(ticket.job.id))
    await house.reached(ticket.job.id, State.DELIVERED)
    return ticket.job.id


async def test_a_button_makes_the_same_clip_larger_with_the_same_music(tmp_path: Path) -> None:
    async with together(tmp_path) as house:
        first = await house.studio.job(await a_finished_clip(house))
        assert {"extend", "bigger"} <= set(house.studio.offers(first))
        made = await house.studio.act(Action("bigger", first.id), who("ana"), first.reply_to)
        assert isinstance(made, Ticket)
        request, old = made.job.request, first.request
        assert (request.kind, request.seed, request.music) == (Kind.BIGGER, old.seed, old.music)
        assert request.width > first.request.width
        await house.studio.cancel(first.id + 1, who("ana"))


@pytest.mark.parametrize("kind", ["bomb", "text"])
async def test_a_bad_picture_is_refused_before_anything_is_charged(tmp_path: Path, kind: str) -> None:
    picture = tmp_path / "in.png"
    if kind == "bomb":
        Image.new("1", (30_000, 30_000)).save(picture)
    else:
        picture.write_text("no picture")
    wish = Wish(prompt="it moves", kind=Kind.ANIMATE, model="testcard", image=str(picture))
    async with together(tmp_path / "data") as house:
        with pytest.raises(AttachmentRefused):
            await house.studio.submit(wish, who("ana"), ReplyTo(platform="fake", chat="c"))
        assert await house.studio.waiting() == []
        assert (await house.studio.balance(who("ana"))).used == 0


def test_a_foreign_clip_is_continued_in_its_own_shape_or_the_nearest(tmp_path: Path) -> None:
    shapes = {"9:16": (448, 768), "16:9": (768, 448)}
    limits = Limits(width=704, height=512, aspects=shapes, max_pixels=942080)
    wish = Wish(prompt="on", kind=Kind.EXTEND, source="x.mp4")
    tall = Clip(path=tmp_path, width=1080, height=1920, fps=24, frames=48, seconds=2, size=1, audio=False)
    assert derivatives.after(wish, tall, limits).aspect == "9:16"
    small = structs.replace(tall, width=320, height=256)
    done = derivatives.after(wish, small, limits)
    assert (done.width, done.height, done.fps) == (320, 256, 24)
