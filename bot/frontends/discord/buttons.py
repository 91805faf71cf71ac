"""Buttons and selects whose custom id holds the whole action, so that they work after a restart."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import discord
from discord import ui

from bot.domain.jobs import Action
from bot.frontends.common.buttons import DANGEROUS_VERBS, EMOJI, INFO_VERBS
from bot.pipeline.delivery import Button

BUTTONS_PER_ROW = 5
MAX_SELECT_OPTIONS = 25
Row = ui.ActionRow[Any]


class ActionButton(ui.DynamicItem[ui.Button[Any]], template=r"m:(?P<action>[a-z]+:\d{1,18}(?::.*)?)"):
    def __init__(self, action: Action, label: str) -> None:
        self.action = action
        super().__init__(
            ui.Button(
                label=label[:80],
                custom_id=f"m:{action}",
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
