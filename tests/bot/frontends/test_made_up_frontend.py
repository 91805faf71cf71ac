"""A new frontend needs nothing but its descriptor: this one is served by the real bot."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bot.domain.errors import AllFrontendsEnded, ConfigBroken
from bot.domain.frontend import Frontend, OutgoingClip
from bot.domain.jobs import Job, JobState, ReplyTo, Requester
from bot.domain.setting_types import Count, Secret, Section, Texts
from bot.frontends.descriptor import FrontendContext, FrontendDescriptor
from bot.runtime import app, config, frontend_registry
from bot.runtime.settings import Settings, load
from bot.store.store import Access, Store
from bot.studio.studio import Studio, Viewer
from generation.progress import Progress
from generation.request import Wish

TINY_MODEL = """
[studio]
model = "tiny"
disk_floor_mb = 0
[engine]
slots = 1
nice = 0
[models.tiny]
family = "testcard"
title = "Tiny"
[models.tiny.limits]
kinds = ["video"]
width = 64
height = 64
min_side = 32
seconds = 0.5
min_seconds = 0.5
fps = 8.0
steps = 2
[postcard]
prompts = ["a fox in the snow"]
"""


class PostcardSettings(Section, frozen=True):
    token: Secret = Secret("")
    prompts: Texts = ()
    stamps: Count = 1


@dataclass
class Postcards:
    """Submits the prompts of its settings, and ends when every clip has been delivered."""

    studio: Studio
    settings: PostcardSettings
    name: str = "postcard"
    deduplicates: bool = False
    statuses: list[JobState] = field(default_factory=list)
    delivered: dict[int, bytes] = field(default_factory=dict)
    all_delivered: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        sender = Viewer(requester=Requester(platform=self.name, user="ana", name="Ana"), chat="box 7")
        for prompt in self.settings.prompts:
            await self.studio.submit(Wish(prompt=prompt), sender, ReplyTo(platform=self.name, chat="box 7"))
        await self.all_delivered.wait()

    async def show_status(self, job: Job, text: str, *, progress: Progress | None = None) -> None:
        del text, progress
        self.statuses.append(job.state)

    async def send_clip(self, outgoing: OutgoingClip) -> str:
        self.delivered[outgoing.job.id] = await asyncio.to_thread(outgoing.clip.path.read_bytes)
        return f"card {outgoing.job.id}"

    async def after_delivery(self, job: Job) -> None:
        assert job.message == f"card {job.id}"
        if len(self.delivered) == len(self.settings.prompts):
            self.all_delivered.set()


@dataclass
class PostOffice:
    """Keeps the frontends that the descriptor's factory has created."""

    created: list[Postcards] = field(default_factory=list)

    def create(self, context: FrontendContext) -> Frontend:
        self.created.append(Postcards(context.studio, context.settings))
        return self.created[-1]

    @property
    def descriptor(self) -> FrontendDescriptor:
        return FrontendDescriptor(
            name="postcard",
            settings=PostcardSettings,
            secrets={"token": "POSTCARD_TOKEN"},
            create=self.create,
            missing=lambda settings: None if settings.token else "no POSTCARD_TOKEN",
            admin_chat_pattern=r"box [0-9]+",
            admin_chat_example="postcard:box 7",
        )


def load_settings(folder: Path, descriptor: FrontendDescriptor, environment: dict[str, str]) -> Settings:
    file = folder / "matinee.toml"
    file.write_text(TINY_MODEL, encoding="utf-8")
    return load(
        file=file,
        environment=environment,
        flags={"studio.data": str(folder / "data")},
        registry=frontend_registry.shipped().with_frontend(descriptor),
    )


async def test_a_registered_frontend_serves_a_job_from_prompt_to_delivery(tmp_path: Path) -> None:
    post_office = PostOffice()
    settings = load_settings(tmp_path, post_office.descriptor, {"POSTCARD_TOKEN": "abc"})
    with pytest.raises(AllFrontendsEnded):
        await app.run(settings)
    [frontend] = post_office.created
    [(job_id, clip)] = frontend.delivered.items()
    assert clip[4:8] == b"ftyp"
    assert JobState.DELIVERED not in frontend.statuses
    store = await Store.open(tmp_path / "data", Access.READER)
    try:
        job = (await store.history("postcard:ana", limit=1))[0]
    finally:
        await store.close()
    assert (job.id, job.state, job.message) == (job_id, JobState.DELIVERED, f"card {job_id}")


def test_its_settings_are_read_like_all_others(tmp_path: Path) -> None:
    environment = {"MATINEE_POSTCARD_PROMPTS": "a fox, an owl", "POSTCARD_TOKEN": "abc"}
    settings = load_settings(tmp_path, PostOffice().descriptor, environment)
    section = settings.frontends["postcard"]
    assert (section.prompts, section.stamps, section.token.reveal()) == (("a fox", "an owl"), 1, "abc")
    assert settings.registry.secret_texts(settings.frontends) == ["abc"]
    with pytest.raises(ConfigBroken) as caught:
        load_settings(tmp_path, PostOffice().descriptor, {"MATINEE_POSTCARD_STAMPS": "-1"})
    assert caught.value.place == "MATINEE_POSTCARD_STAMPS"


def test_without_its_token_it_is_left_out(tmp_path: Path) -> None:
    settings = load_settings(tmp_path, PostOffice().descriptor, {})
    reasons = settings.registry.unavailable(settings.frontends)
    assert reasons["postcard"] == "no POSTCARD_TOKEN"
    assert "cli" not in reasons
    assert not config.frontend_factories(settings)


def test_its_chats_can_receive_admin_notices(tmp_path: Path) -> None:
    environment = {"MATINEE_RULES_ADMIN_CHATS": "postcard:box 7, discord:1"}
    settings = load_settings(tmp_path, PostOffice().descriptor, environment)
    assert config.admin_chats(settings) == ("postcard:box 7", "discord:1")
    wrong = load_settings(tmp_path, PostOffice().descriptor, {"MATINEE_RULES_ADMIN_CHATS": "postcard:7"})
    with pytest.raises(ConfigBroken) as caught:
        config.admin_chats(wrong)
    assert "postcard:box 7" in caught.value.problem
