"""After painting: what a clip shows decides whether, and how, its chat gets it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bot.domain.errors import ConfigBroken, TooLate
from bot.domain.jobs import Action, Job, ReplyTo, State
from bot.moderation.admin_notices import Notice
from bot.moderation.clip_inspection import Finding, Inspector
from bot.pipeline.delivery import Inspect, Unreachable
from bot.runtime import config
from bot.runtime.settings import load
from bot.store.store import Store
from generation.media import nsfw
from generation.media.nsfw import Sighting
from generation.media.nsfw_process import Blind
from generation.request import Wish
from tests.bot.app_harness import CREDITS, Together, together, until, who

SEEN = Sighting("FEMALE_BREAST_EXPOSED", 0.83, 4)


@dataclass
class Onlooker:
    """Sees what the test says in whatever clip."""

    sees: Sighting | Blind = SEEN
    looked: list[Path] = field(default_factory=list)

    async def look(self, path: Path) -> Sighting:
        self.looked.append(path)
        if isinstance(self.sees, Blind):
            raise self.sees
        return self.sees


@dataclass
class Gallery:
    house: Together
    onlooker: Onlooker
    notices: list[Notice]

    async def paints(self, *, adult: bool = False) -> int:
        facts = {"adult": True} if adult else {}
        reply_to = ReplyTo(platform="fake", chat="c", facts=facts)
        wish = Wish(prompt="a fox", model="testcard")
        ticket = await self.house.studio.submit(wish, who("ana"), reply_to)
        self.house.engine.finish(await self.house.label(ticket.job.id))
        return ticket.job.id

    async def reached(self, job: int, *states: State) -> Job:
        return await self.house.reached(job, *states)

    async def left(self) -> int:
        return (await self.house.studio.balance(who("ana"))).left

    def told(self) -> str:
        return self.house.chat.said[-1][2]


Open = Callable[..., AbstractAsyncContextManager[Gallery]]


@pytest.fixture
def gallery(tmp_path: Path) -> Open:
    @asynccontextmanager
    async def opened(then: str, sees: Sighting | Blind = SEEN) -> AsyncIterator[Gallery]:
        onlooker, notices = Onlooker(sees), list[Notice]()

        def inspect(store: Store) -> Inspect:
            return Inspector(store=store, look=onlooker.look, then=Finding(then), certainty=0.5).inspect

        async with together(tmp_path, inspect=inspect) as house:
            house.studio.read_notices(notices.append)
            house.delivery.on_held = house.studio.show_held
            yield Gallery(house, onlooker, notices)

    return opened


async def test_by_setting_it_is_sent_veiled(gallery: Open) -> None:
    async with gallery("spoiler") as house:
        await house.reached(await house.paints(), State.DELIVERED)
        assert [parcel.spoiler for parcel in house.house.chat.parcels] == [True]


async def test_what_is_harmless_or_hardly_seen_is_sent_as_it_is(gallery: Open) -> None:
    async with gallery("refuse", Sighting("FEMALE_BREAST_EXPOSED", 0.4)) as house:
        await house.reached(await house.paints(), State.DELIVERED)
        house.onlooker.sees = Sighting()
        await house.reached(await house.paints(), State.DELIVERED)
        assert [parcel.spoiler for parcel in house.house.chat.parcels] == [False, False]


async def test_by_setting_it_is_refused_and_costs_nothing(gallery: Open) -> None:
    async with gallery("refuse") as house:
        job = await house.reached(await house.paints(), State.FAILED)
        await until(lambda: house.house.chat.said and "credits are back" in house.told())
        assert "may not be shown" in house.told()
        assert house.house.chat.parcels == []
        assert await house.left() == CREDITS
        assert job.error is not None


async def test_held_the_admins_see_it_and_release_it(gallery: Open) -> None:
    async with gallery("hold") as house:
        number = await house.paints()
        await house.reached(number, State.HELD)
        await until(lambda: house.house.chat.said and "An admin looks" in house.told())
        notice = await until(lambda: house.notices[0] if house.notices else None)
        assert notice.actions == (Action("release", number), Action("reject", number))
        assert notice.clip is not None
        assert notice.clip.is_file()
        assert "83" in notice.text
        said = await house.house.studio.admin.perform("review list", who("boss", admin=True))
        assert f"#{number}" in said.said()
        assert "female breast exposed" in said.said()
        await house.house.studio.decide(notice.actions[0], who("boss", admin=True))
        await house.reached(number, State.DELIVERED)
        assert len(house.onlooker.looked) == 1, "nobody looks again at what an admin has released"
        assert await house.left() == CREDITS - 1


async def test_held_and_rejected_it_is_told_and_refunded(gallery: Open) -> None:
    async with gallery("hold") as house:
        number = await house.paints()
        await house.reached(number, State.HELD)
        with pytest.raises(TooLate):
            await house.house.studio.cancel(number, who("ana"))
        await house.house.studio.decide(Action("reject", number), who("boss", admin=True))
        await house.reached(number, State.FAILED)
        await until(lambda: "credits are back" in house.told())
        assert await house.left() == CREDITS


@pytest.mark.parametrize(
    ("then", "state"), [("spoiler", State.DELIVERED), ("hold", State.HELD), ("refuse", State.HELD)]
)
async def test_what_cannot_be_looked_at_is_not_taken_for_harmless(
    gallery: Open, then: str, state: State
) -> None:
    async with gallery(then, Blind("the process died")) as house:
        await house.reached(await house.paints(), state)
        assert all(parcel.spoiler for parcel in house.house.chat.parcels)


async def test_places_for_adults_are_not_looked_at(gallery: Open) -> None:
    async with gallery("refuse") as house:
        await house.reached(await house.paints(adult=True), State.DELIVERED)
        assert house.onlooker.looked == []


async def test_a_second_try_needs_no_second_look(gallery: Open) -> None:
    async with gallery("spoiler") as house:
        house.house.chat.failures.append(Unreachable("down"))
        number = await house.paints()
        await house.reached(number, State.DELIVERED)
        assert [parcel.spoiler for parcel in house.house.chat.parcels] == [True, True]
        assert len(house.onlooker.looked) == 1


def test_a_look_that_cannot_be_had_is_told_at_the_start(tmp_path: Path) -> None:
    settings = load(environment={}, flags={"rules.after": "hold", "studio.data": str(tmp_path)})
    if nsfw.available():
        assert config.an_eye(settings) is not None
        wrong = load(environment={}, flags={"rules.after": "hold", "rules.after_sees": "face_femal"})
        with pytest.raises(ConfigBroken) as refusal:
            config.an_eye(wrong)
        assert refusal.value.near == "face_female"
    else:
        with pytest.raises(ConfigBroken, match="nudenet"):
            config.an_eye(settings)
    assert config.an_eye(load(environment={}, flags={})) is None
