"""The form behind "Edit prompt". Its answer is read from the interaction, so a restart does not matter."""

from __future__ import annotations

from typing import Any

from discord import TextStyle, ui

from bot.domain.jobs import Action, Job
from bot.frontends.discord.interaction_context import Interaction
from bot.i18n import messages
from bot.studio.rewording import reworded
from generation.request import PROMPT_LIMIT, Wish

PREFIX = "e:"


def edit_form(job: Job, language: str) -> ui.Modal:
    form = ui.Modal(
        title=messages.words("form.edit", language, job=job.id)[:45],
        custom_id=f"{PREFIX}{Action('edit', job.id)}",
    )
    for name, value, required in (
        ("prompt", job.request.prompt, True),
        ("negative", job.request.negative, False),
    ):
        field: ui.TextInput[Any] = ui.TextInput(
            custom_id=name,
            style=TextStyle.paragraph,
            default=value or None,
            required=required,
            max_length=PROMPT_LIMIT,
        )
        form.add_item(ui.Label(text=messages.words(f"form.{name}", language)[:45], component=field))
    form.stop()  # discord.py need not remember it
    return form


def form_action(interaction: Interaction) -> Action | None:
    custom_id = interaction.custom_id or ""
    return Action.parse(custom_id.removeprefix(PREFIX)) if custom_id.startswith(PREFIX) else None


def form_answers(interaction: Interaction) -> dict[str, str]:
    data: Any = interaction.data or {}
    inner = [item.get("component", {}) for item in data.get("components", [])]
    return {field["custom_id"]: field.get("value", "") for field in inner if "custom_id" in field}


def edited(job: Job, answers: dict[str, str]) -> Wish:
    """The same wish in the words of the form."""
    return reworded(job, answers.get("prompt", job.request.prompt), answers.get("negative"))
