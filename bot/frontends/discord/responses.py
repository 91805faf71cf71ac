"""The first three seconds, and what is said when something cannot be done: acknowledge, tell, refuse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import discord
import structlog

from bot.frontends.common.buttons import action_button
from bot.frontends.common.error_replies import appeal_action, explain_and_log
from bot.frontends.discord.cards import RED, Card
from bot.frontends.discord.interaction_context import Interaction
from bot.frontends.discord.send_errors import ALREADY_ACKNOWLEDGED

log = structlog.get_logger(__name__)


class AckPriority:
    """While acknowledgements are on their way all other work waits: they alone have a deadline."""

    MAX_WAIT = 2.0

    def __init__(self) -> None:
        self._in_flight = 0
        self._idle = asyncio.Event()

    @asynccontextmanager
    async def acknowledging(self) -> AsyncIterator[None]:
        self._in_flight += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()

    async def wait_until_idle(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), self.MAX_WAIT)


async def acknowledge(interaction: Interaction, *, private: bool, update: bool = False) -> bool:
    """Before anything else is awaited. False when it came too late: then nothing may be charged."""
    interaction.extras["private"] = private
    try:
        priority: AckPriority = interaction.client.ack_priority
        async with priority.acknowledging():
            answer = await interaction.response.defer(ephemeral=private, thinking=not update)
    except discord.HTTPException as error:
        if error.code != ALREADY_ACKNOWLEDGED:
            log.warning("too late to acknowledge", reason=f"{error.status} {error.code}")
            return False
        interaction.extras["status"] = await _original_response_id(interaction)
        return True
    if answer is not None and not update:
        interaction.extras["status"] = answer.message_id
    await priority.wait_until_idle()
    return True


async def _original_response_id(interaction: Interaction) -> int | None:
    """The same interaction again, or one whose acknowledgement was done though its answer was lost."""
    with suppress(discord.HTTPException):
        return (await interaction.original_response()).id
    return None


async def respond(interaction: Interaction, card: Card) -> None:
    """The answer to a command or press that has been acknowledged with "thinking"."""
    try:
        await interaction.edit_original_response(view=card.layout())
    except discord.HTTPException as error:
        log.warning("answer not shown", reason=f"{error.status} {error.code}")


async def respond_privately(interaction: Interaction, card: Card) -> None:
    """For the asker's eyes only, whatever was promised to the channel."""
    try:
        if not interaction.response.is_done() and not interaction.extras.get("status"):
            await interaction.response.send_message(view=card.layout(), ephemeral=True)
            return
        if interaction.extras.get("private") and interaction.extras.get("status"):
            await interaction.edit_original_response(view=card.layout())
            return
        if interaction.extras.get("status"):
            await interaction.delete_original_response()
        await interaction.followup.send(view=card.layout(), ephemeral=True)
    except discord.HTTPException as error:
        log.warning("refusal not shown", reason=f"{error.status} {error.code}")


async def send_private_followup(interaction: Interaction, card: Card) -> None:
    """Beside the answer, for the asker alone: what must not be lost when the answer goes on to change."""
    try:
        await interaction.followup.send(view=card.layout(), ephemeral=True)
    except discord.HTTPException as error:
        log.warning("not said aside", reason=f"{error.status} {error.code}")


@asynccontextmanager
async def explain_errors(interaction: Interaction, language: str) -> AsyncIterator[None]:
    """Whatever goes wrong inside becomes one sentence for the asker alone."""
    try:
        yield
    except discord.HTTPException as error:
        log.warning("Discord refused", status=error.status, code=error.code)
    except Exception as error:  # noqa: BLE001  (it is logged, and the user must get an answer)
        sentence = explain_and_log(error, language, request="an interaction")
        appeal = appeal_action(error)
        buttons = (action_button(appeal, language),) if appeal else ()
        await respond_privately(interaction, Card(title=sentence, buttons=buttons, colour=RED))
