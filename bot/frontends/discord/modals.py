"""The form behind "Edit prompt". Its values are read from the interaction, so it works after a restart."""

from __future__ import annotations

from typing import Any

from discord import TextStyle, ui

from bot.domain.jobs import Action, Job
from bot.frontends.discord.interaction_context import Interaction
from bot.i18n import messages
from generation.request import PROMPT_LIMIT

EDIT_ID_PREFIX = "e:"


def edit_modal(job: Job, language: str) -> ui.Modal:
    modal = ui.Modal(
        title=messages.translate("form.edit", language, job=job.id)[:45],
        custom_id=f"{EDIT_ID_PREFIX}{Action('edit', job.id)}",
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
        modal.add_item(ui.Label(text=messages.translate(f"form.{name}", language)[:45], component=field))
    modal.stop()  # discord.py then keeps no reference to it
    return modal


def modal_action(interaction: Interaction) -> Action | None:
    custom_id = interaction.custom_id or ""
    return (
        Action.parse(custom_id.removeprefix(EDIT_ID_PREFIX)) if custom_id.startswith(EDIT_ID_PREFIX) else None
    )


def modal_values(interaction: Interaction) -> dict[str, str]:
    data: Any = interaction.data or {}
    inner = [item.get("component", {}) for item in data.get("components", [])]
    return {field["custom_id"]: field.get("value", "") for field in inner if "custom_id" in field}
