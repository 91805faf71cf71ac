"""Handles commands, buttons and forms: from an interaction to the studio and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import discord
import structlog
from msgspec import structs

from bot.domain.jobs import WAITING_STATES, Action, ReplyTo, Requester
from bot.frontends.common import account_actions
from bot.frontends.common.job_numbers import split_job_number
from bot.frontends.common.preferences import apply_preferences, merge_preferences
from bot.frontends.discord.buttons import message_shows_job
from bot.frontends.discord.cards import Card, escape_markup
from bot.frontends.discord.interaction_context import (
    PLATFORM,
    TOKEN_LIFETIME,
    Interaction,
    is_user_install,
    language_of,
    reply_to_of,
    viewer_of,
)
from bot.frontends.discord.job_cards import recipe_card, waiting_card
from bot.frontends.discord.responses import explain_errors, respond, respond_privately, send_private_followup
from bot.frontends.discord.sender import Sender
from bot.frontends.discord.settings import FrontendSettings
from bot.frontends.discord.status_order import StatusOrder, StatusStep
from bot.i18n import messages
from bot.pipeline.delivery import SendError
from bot.store.store import Eta
from bot.studio.studio import Studio, Submission, Viewer
from generation.errors import UnknownChoice
from generation.request import MusicWish, Wish

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Asker:
    """The user of an interaction, with their own settings and those of their server."""

    requester: Requester
    viewer: Viewer
    own_settings: Mapping[str, Any]
    server_settings: Mapping[str, Any]

    @property
    def language(self) -> str:
        return self.requester.language

    @property
    def preferences(self) -> Mapping[str, Any]:
        return merge_preferences(self.own_settings, self.server_settings)


class InteractionHandlers:
    def __init__(
        self, studio: Studio, sender: Sender, status_order: StatusOrder, settings: FrontendSettings
    ) -> None:
        self.studio = studio
        self.sender = sender
        self.status_order = status_order
        self.settings = settings
        self.operators: frozenset[int] = frozenset()
        self.command_ids: dict[str, int] = {}  # ids that Discord gave to the commands, by name

    @cached_property
    def genre_options(self) -> list[discord.SelectOption]:
        return [
            discord.SelectOption(label=genre.title, value=name, emoji=genre.emoji or None)
            for name, genre in self.studio.genres.items()
        ][:25]

    async def load_asker(self, interaction: Interaction) -> Asker:
        viewer = viewer_of(interaction, operators=self.operators)
        own = await self.studio.settings(viewer)
        server = await self.studio.community_settings(viewer)
        language = language_of(
            interaction, own.get("language"), server.get("language"), default=self.settings.language
        )
        requester = structs.replace(viewer.requester, language=language)
        return Asker(requester, replace(viewer, requester=requester), own, server)

    # Start jobs

    async def submit_wish(self, interaction: Interaction, wish: Wish) -> None:
        """Submit a wish from a command."""
        asker = await self.load_asker(interaction)
        async with explain_errors(interaction, asker.language):
            submission = await self.studio.submit(
                apply_preferences(wish, asker.preferences),
                asker.viewer,
                self.reply_to(interaction, asker),
                idempotency_key=f"{PLATFORM}:{interaction.id}",
            )
            await self.show_submission(interaction, asker, submission)

    async def submit_edited(self, interaction: Interaction, number: int, values: Mapping[str, str]) -> None:
        """Make a clip again with the prompt from the form."""
        asker = await self.load_asker(interaction)
        async with explain_errors(interaction, asker.language):
            submission = await self.studio.reword(
                number,
                values.get("prompt", ""),
                asker.viewer,
                self.reply_to(interaction, asker),
                negative=values.get("negative"),
                idempotency_key=f"{PLATFORM}:{interaction.id}",
            )
            await self.show_submission(interaction, asker, submission)

    async def start_pressed_job(self, interaction: Interaction, action: Action) -> None:
        """Start a job from a button or select; quota and policy apply as for a command."""
        asker = await self.load_asker(interaction)
        async with explain_errors(interaction, asker.language):
            update, reply_to = f"{PLATFORM}:{interaction.id}", self.reply_to(interaction, asker)
            submission = await self.studio.perform(action, asker.viewer, reply_to, idempotency_key=update)
            assert isinstance(submission, Submission), f"{action.verb} does not start a job"
            await self.show_submission(interaction, asker, submission)

    async def new_music(self, interaction: Interaction, clip: str, music: MusicWish) -> None:
        asker = await self.load_asker(interaction)
        async with explain_errors(interaction, asker.language):
            number = parse_job_number(clip)
            reply_to = self.reply_to(interaction, asker)
            update = f"{PLATFORM}:{interaction.id}"
            submission = await self.studio.new_music(
                number, music, asker.viewer, reply_to, idempotency_key=update
            )
            await self.show_submission(interaction, asker, submission)

    async def show_submission(self, interaction: Interaction, asker: Asker, submission: Submission) -> None:
        job, reply_to = submission.job, self.reply_to(interaction, asker)
        if job.state not in WAITING_STATES:
            return  # a repeated interaction whose job has already ended
        language = job.requester.language
        adjustments = messages.adjustments_text(submission.adjustments, language)
        card = waiting_card(
            job, queue_position=submission.queue_position or 0, eta=submission.eta, notes=(adjustments,)
        )
        shown = True
        try:
            shown = await self.status_order.edit_if_current(
                job.id, StatusStep.WAITING, lambda: self.sender.edit(reply_to, card)
            )
        except SendError as error:
            log.warning("queue position not shown", job=job.id, reason=str(error))
        warning = user_install_warning(submission.eta, language) if is_user_install(interaction) else ""
        followup = "\n".join(filter(None, (warning, "" if shown else adjustments)))
        if followup:
            await send_private_followup(interaction, Card(title=followup))

    # Existing jobs

    async def cancel(self, interaction: Interaction, number: int) -> None:
        asker = await self.load_asker(interaction)
        async with explain_errors(interaction, asker.language):
            job = await self.studio.cancel(number, asker.viewer)
            text = messages.final_status(job, asker.language)
            if interaction.extras.get("status"):
                await respond(interaction, Card(body=escape_markup(text)))

    async def send_again(self, interaction: Interaction, number: int) -> None:
        """Send the clip of an uncertain delivery once more. The clip itself is the answer."""
        asker = await self.load_asker(interaction)
        async with explain_errors(interaction, asker.language):
            await self.studio.send_again(number, asker.viewer)
            log.info("sent again on request", job=number, by=asker.requester.key)

    async def recipe(self, interaction: Interaction, number: int) -> None:
        asker = await self.load_asker(interaction)
        async with explain_errors(interaction, asker.language):
            job = await self.studio.recipe(number, asker.viewer)
            await respond(interaction, recipe_card(job, asker.language))

    async def delete(self, interaction: Interaction, number: int) -> None:
        """Delete the message with the clip, for its owner and the moderators of the channel."""
        asker = await self.load_asker(interaction)
        async with explain_errors(interaction, asker.language):
            await self.studio.allow_deletion(
                number, asker.viewer, lambda job: message_shows_job(interaction.message, job)
            )
            await interaction.delete_original_response()
            log.info("message deleted", job=number, by=asker.requester.key)
            await respond_privately(
                interaction,
                Card(body=escape_markup(messages.translate("deleted", asker.language, job=number))),
            )

    async def report(self, interaction: Interaction, number: int, why: str = "") -> None:
        asker = await self.load_asker(interaction)
        async with explain_errors(interaction, asker.language):
            job = await self.studio.job(number, asker.viewer)
            link = interaction.message.jump_url if interaction.message else ""
            comment = " ".join(filter(None, (why, link)))
            answer = await account_actions.report_clip(self.studio, number, asker.viewer, comment)
            if answer.is_new:
                log.warning("reported", job=number, by=asker.requester.key, author=job.requester.key)
                title = messages.translate(
                    "reported.admins", asker.server_settings.get("language") or "en", job=number
                )
                body = f"{escape_markup(messages.sanitized(why, 500))}\n{link}".strip()
                users = f"<@{job.requester.user}> · <@{asker.requester.user}>"
                await self._notify_server_admins(asker, Card(title=title, body=f"{body}\n{users}"))
            await respond(interaction, Card(body=escape_markup(answer.text)))

    async def appeal(self, interaction: Interaction, refusal: int, why: str = "") -> None:
        """Appeal against a refusal of the user's own prompt; 0 is the last one."""
        asker = await self.load_asker(interaction)
        async with explain_errors(interaction, asker.language):
            text = await account_actions.appeal_refusal(self.studio, asker.viewer, why, refusal=refusal)
            await respond(interaction, Card(body=escape_markup(text)))

    async def decide(self, interaction: Interaction, action: Action) -> None:
        """Handle a button below a notice to admins."""
        asker = await self.load_asker(interaction)
        async with explain_errors(interaction, asker.language):
            answer = await self.studio.decide_review(action, asker.viewer)
            await respond(interaction, Card(body=escape_markup(answer.to_text(asker.language))))

    async def _notify_server_admins(self, asker: Asker, card: Card) -> None:
        """Notify the admins of this server; the studio notifies the operators."""
        if channel := asker.server_settings.get("reports"):
            await self.sender.notify(int(channel), card)

    async def forget(self, interaction: Interaction, number: int) -> None:
        """Delete the user's data, as confirmed by the button of /privacy."""
        del number  # every button names a job; this one concerns all jobs of the user
        asker = await self.load_asker(interaction)
        async with explain_errors(interaction, asker.language):
            text = await account_actions.delete_personal_data(self.studio, asker.viewer)
            await respond(interaction, Card(body=escape_markup(text)))

    async def confirm_link(self, interaction: Interaction, number: int) -> None:
        await self._answer_link_request(interaction, number, agree=True)

    async def refuse_link(self, interaction: Interaction, number: int) -> None:
        await self._answer_link_request(interaction, number, agree=False)

    async def _answer_link_request(self, interaction: Interaction, number: int, *, agree: bool) -> None:
        asker = await self.load_asker(interaction)
        async with explain_errors(interaction, asker.language):
            text = await account_actions.answer_link_request(self.studio, asker.viewer, number, agree=agree)
            await respond(interaction, Card(body=escape_markup(text)))

    def with_command_mentions(self, text: str) -> str:
        """Turn `/queue` into a clickable command, which Discord shows in the reader's language."""

        def mention(found: re.Match[str]) -> str:
            number = self.command_ids.get(found[1])
            return f"</{found[1]}:{number}>" if number else found[0]

        return re.sub(r"`/(\w+)`", mention, text)

    def reply_to(self, interaction: Interaction, asker: Asker) -> ReplyTo:
        """Where the answer goes, with what Discord says about that place."""
        facts: dict[str, Any] = {}
        if asker.own_settings.get("ping"):
            facts["ping"] = True
        return reply_to_of(interaction, **facts)


def parse_job_number(text: str) -> int:
    """Read the chosen or typed clip: "17" or "#17 a fox"; raises UnknownChoice."""
    number, _ = split_job_number(text)
    if number is None:
        raise UnknownChoice("clip", text, None)
    return number


def user_install_warning(eta: Eta | None, language: str) -> str:
    """Return a warning for a server without the bot: an answer there needs the token, which soon expires."""
    if eta is None:
        return messages.translate("not_member", language)
    return messages.translate("not_member.long_job", language) if eta.high > TOKEN_LIFETIME else ""
