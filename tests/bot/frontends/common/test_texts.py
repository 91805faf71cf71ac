"""Job numbers, recipes, progress bars, job texts and error replies as every chat shows them."""

from __future__ import annotations

import pytest
from msgspec import structs
from structlog.testing import capture_logs

from bot.domain.errors import NoSuchJob, PromptRefused
from bot.domain.jobs import Action, Requester, community_key
from bot.frontends.common.error_replies import appeal_action, explain_and_log
from bot.frontends.common.job_numbers import split_job_number
from bot.frontends.common.job_texts import is_own_job, music_text, queued_text
from bot.frontends.common.progress_bar import progress_bar
from bot.frontends.common.recipe_command import file_recipe, job_recipe, slash_command
from bot.i18n import messages
from bot.store.store import Eta
from generation.errors import EncodeFailed
from generation.request import Kind
from tests.bot.frontends.common.conftest import MakeJob


@pytest.mark.parametrize(
    ("text", "number", "words"),
    [
        ("17", 17, ""),
        (" #17 ", 17, ""),
        ("#17  a fox ", 17, "a fox"),
        ("a fox #17", None, "a fox #17"),
        ("", None, ""),
        ("#", None, "#"),
        ("１７", None, "１７"),  # noqa: RUF001  (full-width digits are words)
        ("9" * 30, int("9" * 18), ""),
    ],
)
def test_a_job_number_is_read_from_the_first_word(text: str, number: int | None, words: str) -> None:
    assert split_job_number(text) == (number, words)


@pytest.mark.parametrize(
    ("fraction", "bar"), [(0.0, "▱▱▱▱"), (0.5, "▰▰▱▱"), (1.0, "▰▰▰▰"), (1.3, "▰▰▰▰"), (-1.0, "▱▱▱▱")]
)
def test_a_progress_bar_always_has_its_width(fraction: float, bar: str) -> None:
    assert progress_bar(fraction, 4) == bar


def test_a_slash_command_has_only_the_options_of_its_kind(make_job: MakeJob) -> None:
    assert slash_command(make_job(Kind.VIDEO).request) == (
        "/video prompt: a fox model: testcard seconds: 4.17 genre: lofi mood: calm tempo: 82"
        " instruments: piano, bass seed: 7"
    )
    assert slash_command(make_job(Kind.IMAGE).request) == "/image prompt: a fox model: testcard seed: 7"


def test_a_recipe_has_a_title_and_a_command(make_job: MakeJob) -> None:
    job = make_job(Kind.VIDEO)
    found = job_recipe(job, "en", slash_command)
    assert "#17" in found.title
    assert found.command == slash_command(job.request)
    of_file = file_recipe(job.request, "my\nclip.mp4", "en", slash_command)
    assert "my clip.mp4" in of_file.title
    assert of_file.command == found.command


def test_a_file_without_a_recipe_has_no_command() -> None:
    missing = file_recipe(None, "x" * 100 + ".mp4", "en", slash_command)
    assert missing.command == ""
    assert "x" * 59 + "…" in missing.title


def test_a_queued_job_says_its_position_and_time(make_job: MakeJob) -> None:
    job = make_job(Kind.VIDEO)
    behind_two = queued_text(job, queue_position=2, eta=Eta(10.0, 20.0), language="en")
    assert "Clips before it: 2" in behind_two
    assert "10 s to 20 s" in behind_two
    assert "is next" in queued_text(job, queue_position=None, eta=None, language="en")


def test_a_picture_has_no_music(make_job: MakeJob) -> None:
    assert "lofi, calm, 82 bpm" in music_text(make_job(Kind.VIDEO), "en")
    assert music_text(make_job(Kind.IMAGE), "en") == ""


def test_a_job_belongs_to_one_user_of_one_platform(make_job: MakeJob) -> None:
    job = make_job(Kind.VIDEO)
    assert is_own_job(job, Requester(platform="chat", user="1", name="renamed"))
    assert not is_own_job(job, Requester(platform="other", user="1"))


@pytest.mark.parametrize(
    ("error", "levels"),
    [
        (NoSuchJob(17), []),
        (EncodeFailed("mux", "broken pipe"), ["warning"]),
        (RuntimeError("a defect"), ["error"]),
    ],
)
def test_errors_that_a_user_cannot_correct_are_logged(error: Exception, levels: list[str]) -> None:
    with capture_logs() as logs:
        sentence = explain_and_log(error, "de", request="a command")
    assert sentence == messages.explain(error, "de")
    assert [entry["log_level"] for entry in logs] == levels
    assert all(entry["request"] == "a command" and entry["exc_info"] is error for entry in logs)


def test_only_a_recorded_refusal_can_be_appealed() -> None:
    refused = PromptRefused("operator", refusal=5)
    assert appeal_action(refused) == Action("appeal", 5)
    assert appeal_action(PromptRefused("operator")) is None
    assert appeal_action(NoSuchJob(17)) is None


def test_a_community_has_one_key_however_it_was_stored() -> None:
    new = Requester(platform="discord", user="1", community=community_key("discord", 7))
    old = structs.replace(new, community="7")
    assert new.community_key == old.community_key == "discord:7"
    group = Requester(platform="telegram", user="1", community=community_key("telegram", -100))
    assert group.community_key == "telegram:-100"
    assert (
        Requester(platform="discord", user="1", community=community_key("discord", None)).community_key == ""
    )
