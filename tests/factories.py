"""Requests, jobs and the values around them, complete by default: a test names only what it is about."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from msgspec import structs

from bot.domain.jobs import Draft, Job, JobState, ReplyTo, Requester
from bot.store.store import LinkSide, Store
from bot.studio.access import Viewer
from generation.clip import Clip
from generation.models.common.preset import Preset
from generation.order import Order
from generation.request import Kind, Limits, Music, Request, Wish

NO_MUSIC = Music(genre="none", maker="band")


def make_music(**changes: Any) -> Music:
    return structs.replace(Music(genre="lofi", maker="band", instruments=("piano", "bass")), **changes)


def make_wish(prompt: str = "a fox", **changes: Any) -> Wish:
    return replace(Wish(prompt=prompt, model="testcard"), **changes)


def make_request(prompt: str = "a fox in the snow", **changes: Any) -> Request:
    """One second of video with music."""
    request = Request(
        prompt=prompt,
        kind=Kind.VIDEO,
        model="testcard",
        width=256,
        height=256,
        frames=24,
        fps=24.0,
        seed=7,
        steps=4,
        guidance=1.0,
        music=make_music(),
    )
    return structs.replace(request, **changes)


def make_requester(user: str = "ana", **changes: Any) -> Requester:
    return structs.replace(Requester(platform="fake", user=user, name=user), **changes)


def make_viewer(user: str = "ana", *, chat: str = "c", private: bool = False, **changes: Any) -> Viewer:
    """The user in the chat that `make_reply_to` names; the changes are those of the requester."""
    return Viewer(requester=make_requester(user, **changes), chat=chat, private=private)


def make_reply_to(**changes: Any) -> ReplyTo:
    return structs.replace(ReplyTo(platform="fake", chat="c"), **changes)


def make_clip(request: Request | None = None, **changes: Any) -> Clip:
    """The clip of `request`. Its file need not exist; `write_clip` writes one."""
    request = request or make_request()
    clip = Clip(
        path=Path("clip.mp4"),
        width=request.width,
        height=request.height,
        fps=request.fps,
        frames=request.frames,
        seconds=request.seconds,
        size=9,
        audio=request.kind is not Kind.IMAGE,
    )
    return structs.replace(clip, **changes)


def write_clip(path: Path, request: Request, content: bytes = b"a clip", **changes: Any) -> Clip:
    """Write `content` to `path` as the clip of `request`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return make_clip(request, path=path, size=len(content), **changes)


def make_draft(
    user: str = "42",
    *,
    platform: str = "discord",
    community: str = "",
    model: str = "testcard",
    cost: int = 1,
    **changes: Any,
) -> Draft:
    draft = Draft(
        request=make_request(model=model),
        requester=Requester(platform=platform, user=user, name="Ana", roles=("patron",), community=community),
        reply_to=ReplyTo(platform=platform, chat="9", message="5", facts={"ephemeral": True}),
        cost=cost,
    )
    return replace(draft, **changes)


def make_job(request: Request | None = None, **changes: Any) -> Job:
    job = Job(
        id=17,
        request=request or make_request(),
        requester=make_requester(),
        reply_to=make_reply_to(),
        state=JobState.RENDERED,
        cost=1,
    )
    return structs.replace(job, **changes)


def make_preset(name: str = "testcard", **changes: Any) -> Preset:
    """A small preset of the family of the same name, unless another is given."""
    preset = Preset(name=name, family=name, title=name.capitalize(), limits=Limits(width=64, height=64))
    return replace(preset, **changes)


def make_order(folder: Path, *, label: str = "1", preset: Preset | None = None, **changes: Any) -> Order:
    """An order whose clip goes to `folder`; the other changes are those of its request."""
    preset = preset or make_preset()
    request = make_request(**{"model": preset.name, **changes})
    return Order(label=label, request=request, preset=preset, folder=folder)


async def link_users(store: Store, maker: str, taker: str) -> None:
    """Link two users: `taker` enters the code of `maker`, and both confirm."""
    code = await store.create_link_code(LinkSide(maker, "", "en"))
    request = await store.request_link(LinkSide(taker, "", "en"), code)
    for key in (maker, taker):
        await store.answer_link_request(key, request.id, agree=True)
