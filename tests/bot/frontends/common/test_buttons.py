"""Which buttons a message has."""

from __future__ import annotations

import pytest

from bot.domain.jobs import Action
from bot.frontends.common.buttons import INFO_VERBS, action_button, clip_buttons, job_button, notice_buttons
from bot.i18n import messages
from generation.request import Kind
from tests.bot.frontends.common.conftest import MakeJob


@pytest.mark.parametrize(
    ("kind", "verbs"),
    [
        (Kind.VIDEO, ["reroll", "score", "edit", "extend", "recipe", "delete", "report"]),
        (Kind.IMAGE, ["reroll", "edit", "extend", "recipe", "delete", "report"]),
    ],
)
def test_a_picture_has_no_button_for_new_music(kind: Kind, verbs: list[str], make_job: MakeJob) -> None:
    job = make_job(kind)
    base = [job_button("reroll", job), job_button("score", job)]
    buttons = clip_buttons(job, base, ("edit", "extend", *INFO_VERBS))
    assert [button.action for button in buttons] == [Action(verb, 17) for verb in verbs]


def test_no_button_is_shown_twice(make_job: MakeJob) -> None:
    job = make_job(Kind.VIDEO)
    buttons = clip_buttons(job, [job_button("edit", job)], ("edit", "recipe"))
    assert [button.action.verb for button in buttons] == ["edit", "recipe"]


def test_labels_are_in_the_language_of_the_reader() -> None:
    action = Action("cancel", 17)
    assert action_button(action, "de").label == messages.translate("button.cancel", "de")
    assert [button.label for button in notice_buttons([action])] == [messages.translate("button.cancel")]
