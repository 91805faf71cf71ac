"""The inspection of a finished clip decides whether and how it is delivered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from bot.cli import doctor
from bot.domain.errors import ConfigBroken, TooLate
from bot.domain.events import AdminNoticeRaised, Notice
from bot.domain.jobs import Action, Job, JobState, ReplyTo
from bot.moderation.clip_inspection import ClipInspector, InspectionVerdict
from bot.pipeline.delivery import InspectClip, Unreachable
from bot.runtime import config
from bot.runtime.settings import Settings, load
from bot.store.store import Store
from generation.media import nsfw
from generation.media.nsfw import Detection
from generation.media.nsfw_process import InspectionFailed
from tests.bot.app_harness import CREDITS, AppHarness, running_app, wait_until
from tests.factories import make_viewer, make_wish

DETECTION = Detection("FEMALE_BREAST_EXPOSED", 0.83, 4)


@dataclass
class FakeClassifier:
    """Detects in every clip what the test sets."""

    result: Detection | InspectionFailed = DETECTION
    classified_paths: list[Path] = field(default_factory=list)

    async def classify(self, path: Path) -> Detection:
        self.classified_paths.append(path)
        if isinstance(self.result, InspectionFailed):
            raise self.result
        return self.result


@dataclass
class InspectionHarness:
    app: AppHarness
    classifier: FakeClassifier
    notices: list[Notice]

    async def make_clip(self, *, adult: bool = False) -> int:
        viewer = replace(make_viewer("ana"), adult_place=adult)
        reply_to = ReplyTo(platform="fake", chat="c")
        wish = make_wish()
        ticket = await self.app.studio.submit(wish, viewer, reply_to)
        self.app.engine.finish(await self.app.engine_label(ticket.job.id))
        return ticket.job.id

    async def wait_for_state(self, job: int, *states: JobState) -> Job:
        return await self.app.wait_for_state(job, *states)

    async def credits_left(self) -> int:
        return (await self.app.studio.balance(make_viewer("ana"))).left

    def last_message(self) -> str:
        return self.app.chat.statuses[-1][2]


OpenHarness = Callable[..., AbstractAsyncContextManager[InspectionHarness]]


@pytest.fixture
def open_harness(tmp_path: Path) -> OpenHarness:
    @asynccontextmanager
    async def opened(
        then: str, sees: Detection | InspectionFailed = DETECTION
    ) -> AsyncIterator[InspectionHarness]:
        classifier, notices = FakeClassifier(sees), list[Notice]()

        def inspect(store: Store) -> InspectClip:
            return ClipInspector(
                store=store,
                classify=classifier.classify,
                verdict_if_seen=InspectionVerdict(then),
                min_certainty=0.5,
            ).inspect

        async with running_app(tmp_path, inspect=inspect) as app:
            app.events.subscribe(AdminNoticeRaised, lambda event: notices.append(event.notice))
            yield InspectionHarness(app, classifier, notices)

    return opened


async def test_spoiler_setting_sends_it_spoilered(open_harness: OpenHarness) -> None:
    async with open_harness("spoiler") as harness:
        await harness.wait_for_state(await harness.make_clip(), JobState.DELIVERED)
        assert [parcel.spoiler for parcel in harness.app.chat.outgoing_clips] == [True]


async def test_harmless_or_uncertain_clips_are_sent_unchanged(open_harness: OpenHarness) -> None:
    async with open_harness("refuse", Detection("FEMALE_BREAST_EXPOSED", 0.4)) as harness:
        await harness.wait_for_state(await harness.make_clip(), JobState.DELIVERED)
        harness.classifier.result = Detection()
        await harness.wait_for_state(await harness.make_clip(), JobState.DELIVERED)
        assert [parcel.spoiler for parcel in harness.app.chat.outgoing_clips] == [False, False]


async def test_refuse_setting_refuses_and_refunds(open_harness: OpenHarness) -> None:
    async with open_harness("refuse") as harness:
        job = await harness.wait_for_state(await harness.make_clip(), JobState.FAILED)
        await wait_until(lambda: harness.app.chat.statuses and "credits are back" in harness.last_message())
        assert "not allowed here" in harness.last_message()
        assert harness.app.chat.outgoing_clips == []
        assert await harness.credits_left() == CREDITS
        assert job.error is not None


async def test_a_held_clip_is_shown_to_admins_and_released(open_harness: OpenHarness) -> None:
    async with open_harness("hold") as harness:
        number = await harness.make_clip()
        await harness.wait_for_state(number, JobState.HELD)
        await wait_until(lambda: harness.app.chat.statuses and "An admin reviews" in harness.last_message())
        notice = await wait_until(lambda: harness.notices[0] if harness.notices else None)
        assert notice.actions == (Action("release", number), Action("reject", number))
        assert notice.clip is not None
        assert notice.clip.is_file()
        assert "83" in notice.text
        answer = await harness.app.studio.administer("review list", make_viewer("boss", admin=True))
        assert f"#{number}" in answer.to_text()
        assert "female breast exposed" in answer.to_text()
        await harness.app.studio.decide_review(notice.actions[0], make_viewer("boss", admin=True))
        await harness.wait_for_state(number, JobState.DELIVERED)
        assert len(harness.classifier.classified_paths) == 1, (
            "nobody looks again at what an admin has released"
        )
        assert await harness.credits_left() == CREDITS - 1


async def test_a_held_and_rejected_clip_is_reported_and_refunded(open_harness: OpenHarness) -> None:
    async with open_harness("hold") as harness:
        number = await harness.make_clip()
        await harness.wait_for_state(number, JobState.HELD)
        with pytest.raises(TooLate):
            await harness.app.studio.cancel(number, make_viewer("ana"))
        await harness.app.studio.decide_review(Action("reject", number), make_viewer("boss", admin=True))
        await harness.wait_for_state(number, JobState.FAILED)
        await wait_until(lambda: "credits are back" in harness.last_message())
        assert await harness.credits_left() == CREDITS


@pytest.mark.parametrize(
    ("then", "state"), [("spoiler", JobState.DELIVERED), ("hold", JobState.HELD), ("refuse", JobState.HELD)]
)
async def test_a_failed_inspection_is_not_treated_as_clear(
    open_harness: OpenHarness, then: str, state: JobState
) -> None:
    async with open_harness(then, InspectionFailed("the process died")) as harness:
        await harness.wait_for_state(await harness.make_clip(), state)
        assert all(parcel.spoiler for parcel in harness.app.chat.outgoing_clips)


async def test_adult_channels_are_not_inspected(open_harness: OpenHarness) -> None:
    async with open_harness("refuse") as harness:
        await harness.wait_for_state(await harness.make_clip(adult=True), JobState.DELIVERED)
        assert harness.classifier.classified_paths == []


async def test_a_delivery_retry_is_not_inspected_again(open_harness: OpenHarness) -> None:
    async with open_harness("spoiler") as harness:
        harness.app.chat.failures.append(Unreachable("down"))
        number = await harness.make_clip()
        await harness.wait_for_state(number, JobState.DELIVERED)
        assert [parcel.spoiler for parcel in harness.app.chat.outgoing_clips] == [True, True]
        assert len(harness.classifier.classified_paths) == 1


def test_an_unavailable_inspector_stops_the_start(tmp_path: Path) -> None:
    settings = load(environment={}, flags={"rules.after": "hold", "studio.data": str(tmp_path)})
    if nsfw.available():
        assert config.build_nsfw_process(settings) is not None
        wrong = load(environment={}, flags={"rules.after": "hold", "rules.after_sees": "face_femal"})
        with pytest.raises(ConfigBroken) as refusal:
            config.build_nsfw_process(wrong)
        assert refusal.value.near == "face_female"
    else:
        with pytest.raises(ConfigBroken, match="nudenet"):
            config.build_nsfw_process(settings)


def test_clips_are_inspected_by_default_where_nudenet_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not nsfw.available():
        settings = load(environment={}, flags={"studio.data": str(tmp_path)})
        assert config.build_nsfw_process(settings) is None
        found = _doctor_on_clips(settings)
        assert found.verdict is doctor.Verdict.LEFT_OUT
        assert "nudenet is missing" in found.detail
    package = tmp_path / "nudenet"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    settings = load(environment={}, flags={"studio.data": str(tmp_path)})
    assert config.build_nsfw_process(settings) is not None
    assert config.clip_inspection(settings) == "spoiler"
    assert _doctor_on_clips(settings).verdict is doctor.Verdict.GOOD
    off = load(environment={}, flags={"rules.after": "off"})
    assert config.build_nsfw_process(off) is None


def _doctor_on_clips(settings: Settings) -> doctor.CheckResult:
    preset = config.read_tables(settings).presets[settings.studio.model]
    return next(found for found in doctor.run_checks(settings, preset) if found.what == "look at clips")
