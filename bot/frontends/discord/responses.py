"""Responses to interactions: the acknowledgement within three seconds, the answer, the error message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import discord
import structlog

from bot.domain.errors import ChannelDenied, OtherChannelsOnly
from bot.frontends.common.buttons import action_button
from bot.frontends.common.error_replies import appeal_action, explain_and_log
from bot.frontends.discord.cards import RED, Card
from bot.frontends.discord.interaction_context import Interaction, can_see_channel
from bot.frontends.discord.send_errors import ALREADY_ACKNOWLEDGED

log = structlog.get_logger(__name__)


class AckPriority:
    """Lets other work wait while acknowledgements are in flight, as only these have a deadline."""

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
    """Acknowledge an interaction; call it before anything else is awaited.

    Returns False if it is too late: then nothing may be charged.
    """
    interaction.extras["private"] = private
    try:
        priority: AckPriority = interaction.client.ack_priority
        async with priority.acknowledging():
            answer = await interaction.response.defer(ephemeral=private, thinking=not update)
    except discord.HTTPException as error:
        if error.code != ALREADY_ACKNOWLEDGED:
            log.warning("interaction not acknowledged in time", reason=f"{error.status} {error.code}")
            return False
        interaction.extras["status"] = await _original_response_id(interaction)
        return True
    if answer is not None and not update:
        interaction.extras["status"] = answer.message_id
    await priority.wait_until_idle()
    return True


async def _original_response_id(interaction: Interaction) -> int | None:
    """Return the message of an interaction that was acknowledged before: a repetition, or a lost response."""
    with suppress(discord.HTTPException):
        return (await interaction.original_response()).id
    return None


async def respond(interaction: Interaction, card: Card) -> None:
    """Replace the "thinking" of an acknowledged command or button press with the answer."""
    try:
        await interaction.edit_original_response(view=card.layout())
    except discord.HTTPException as error:
        log.warning("answer not shown", reason=f"{error.status} {error.code}")


async def respond_privately(interaction: Interaction, card: Card) -> None:
    """Answer so that only the user sees it, even if the acknowledgement was public."""
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
        log.warning("private answer not shown", reason=f"{error.status} {error.code}")


async def send_private_followup(interaction: Interaction, card: Card) -> None:
    """Send an additional private message, for what later edits of the answer would remove."""
    try:
        await interaction.followup.send(view=card.layout(), ephemeral=True)
    except discord.HTTPException as error:
        log.warning("private follow-up not sent", reason=f"{error.status} {error.code}")


@asynccontextmanager
async def explain_errors(interaction: Interaction, language: str) -> AsyncIterator[None]:
    """Answer an error in the block with one sentence that only the user sees."""
    try:
        yield
    except discord.HTTPException as error:
        log.warning("Discord refused", status=error.status, code=error.code)
    except Exception as error:  # noqa: BLE001  (it is logged, and the user must get an answer)
        error = _with_channel_names(error, interaction)
        sentence = explain_and_log(error, language, request="an interaction")
        appeal = appeal_action(error)
        buttons = (action_button(appeal, language),) if appeal else ()
        await respond_privately(interaction, Card(title=sentence, buttons=buttons, colour=RED))


def _with_channel_names(error: Exception, interaction: Interaction) -> Exception:
    """Name the channels where Matinee answers, as far as the user can see them."""
    if not isinstance(error, OtherChannelsOnly):
        return error
    visible = [place for place in error.places if can_see_channel(interaction, place)]
    channels = filter(None, (interaction.client.get_channel(int(place)) for place in visible))
    names = tuple(f"#{getattr(channel, 'name', channel.id)}" for channel in channels)
    return OtherChannelsOnly(names) if names else ChannelDenied()
