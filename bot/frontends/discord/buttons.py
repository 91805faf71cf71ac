"""Buttons and selects whose custom id holds the whole action, so that they work after a restart."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import discord
from discord import ui

from bot.domain.jobs import Action, Job
from bot.frontends.common.buttons import DANGEROUS_VERBS, EMOJI, INFO_VERBS
from bot.pipeline.delivery import Button

BUTTON_ID_PREFIX = "m:"
BUTTONS_PER_ROW = 5
MAX_SELECT_OPTIONS = 25
Row = ui.ActionRow[Any]


class ActionButton(ui.DynamicItem[ui.Button[Any]], template=r"m:(?P<action>[a-z]+:\d{1,18}(?::.*)?)"):
    def __init__(self, action: Action, label: str) -> None:
        self.action = action
        super().__init__(
            ui.Button(
                label=label[:80],
                custom_id=f"{BUTTON_ID_PREFIX}{action}",
                emoji=EMOJI.get(action.verb),
                style=discord.ButtonStyle.danger
                if action.verb in DANGEROUS_VERBS
                else discord.ButtonStyle.secondary,
            )
        )

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: ui.Item[Any], match: re.Match[str], /
    ) -> ActionButton:
        del interaction
        action = Action.parse(match["action"])
        assert action is not None, "the template matches only valid actions"
        return cls(action, getattr(item, "label", None) or action.verb)

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        await interaction.client.handle_press(interaction, self.action)


class ActionSelect(ui.DynamicItem[ui.Select[Any]], template=r"s:(?P<action>[a-z]+:\d{1,18})"):
    """A select menu: the chosen value becomes the choice of the action."""

    def __init__(self, action: Action, label: str, options: Sequence[discord.SelectOption]) -> None:
        self.action = action
        shown = list(options)[:MAX_SELECT_OPTIONS]
        super().__init__(ui.Select(custom_id=f"s:{action}", placeholder=label[:150], options=shown))

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: ui.Item[Any], match: re.Match[str], /
    ) -> ActionSelect:
        del interaction
        action = Action.parse(match["action"])
        assert action is not None, "the template matches only valid actions"
        assert isinstance(item, ui.Select)
        return cls(action, item.placeholder or action.verb, item.options)

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        action = Action(self.action.verb, self.action.job, self.item.values[0])
        await interaction.client.handle_press(interaction, action)


def jobs_on_message(message: discord.Message | None) -> frozenset[int]:
    """Return the jobs that the buttons of a message name, as Discord reports the message."""
    found: set[int] = set()
    waiting: list[Any] = list(message.components) if message else []
    while waiting:
        component = waiting.pop()
        waiting += getattr(component, "children", ())
        custom_id = str(getattr(component, "custom_id", None) or "")
        action = Action.parse(custom_id.removeprefix(BUTTON_ID_PREFIX))
        if action is not None and custom_id.startswith(BUTTON_ID_PREFIX):
            found.add(action.job)
    return frozenset(found)


def message_shows_job(message: discord.Message | None, job: Job) -> bool:
    """Whether this is the message of the job. If none is known, its own buttons must name the job."""
    if message is None:
        return False
    if job.message:
        return str(message.id) in {job.message, job.reply_to.status}
    return job.id in jobs_on_message(message)


def action_rows(buttons: Iterable[Button], genres: Sequence[discord.SelectOption] = ()) -> list[Row]:
    """Lay out the buttons in rows.

    New music is a select of genres. Buttons that start a job and buttons about the clip are in separate rows.
    """
    given = list(buttons)
    selects = [ActionSelect(b.action, b.label, genres) for b in given if b.action.verb == "score" and genres]
    others = [b for b in given if b.action.verb != "score" or not genres]
    job_buttons = [b for b in others if b.action.verb not in INFO_VERBS]
    info_buttons = [b for b in others if b.action.verb in INFO_VERBS]
    grouped: list[Row] = [Row(select) for select in selects]
    return grouped + [
        Row(*(ActionButton(b.action, b.label) for b in group[n : n + BUTTONS_PER_ROW]))
        for group in (job_buttons, info_buttons)
        for n in range(0, len(group), BUTTONS_PER_ROW)
    ]
