"""Which buttons a message has. How a button looks is up to each chat."""

from __future__ import annotations

from collections.abc import Iterable

from bot.domain.frontend import Button
from bot.domain.jobs import Action, Job
from bot.i18n import messages
from generation.request import Kind

EMOJI = {
    "reroll": "🎲",
    "edit": "✏️",
    "animate": "🎬",
    "extend": "⏩",
    "bigger": "🔍",
    "recipe": "📜",
    "delete": "🗑️",
    "report": "🚩",
    "again": "📨",
    "link": "🔗",
}
INFO_VERBS = ("recipe", "delete", "report")
"""Actions about a clip; the other ones start a new job from it."""
DANGEROUS_VERBS = frozenset({"cancel", "forget"})


def action_button(action: Action, language: str = "en") -> Button:
    return Button(messages.translate(f"button.{action.verb}", language), action)


def job_button(verb: str, job: Job) -> Button:
    return action_button(Action(verb, job.id), job.requester.language)


def notice_buttons(actions: Iterable[Action], language: str = "en") -> tuple[Button, ...]:
    """Return the buttons below a notice; notices to admins are always in English."""
    return tuple(action_button(action, language) for action in actions)


def clip_buttons(job: Job, base: Iterable[Button], verbs: Iterable[str]) -> tuple[Button, ...]:
    """Return the buttons below a finished clip: `base`, then one for each verb that `base` lacks.

    A picture has no music, so it never has the button for new music.
    """
    is_picture = job.request.kind is Kind.IMAGE
    kept = tuple(button for button in base if not (is_picture and button.action.verb == "score"))
    present = {button.action.verb for button in kept}
    return kept + tuple(job_button(verb, job) for verb in verbs if verb not in present)
