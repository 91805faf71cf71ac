"""Sends cards and clips: by the interaction, to the channel, or as a direct message."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import discord
import structlog

from bot.domain.jobs import ReplyTo
from bot.frontends.discord.cards import Card
from bot.frontends.discord.send_errors import INVALID_FORM_BODY, MISSING_READ_HISTORY, raising_send_errors
from bot.pipeline.delivery import OutgoingClip, Rejected, SendError, TooLarge

log = structlog.get_logger(__name__)

Edit = Callable[..., Awaitable[Any]]

CLOCK_SKEW = 60.0
SEARCHED_MESSAGES = 100
"""Latest messages searched for a clip that was already sent: one page of history."""


@dataclass(frozen=True, slots=True)
class SentMessage:
    message_id: str
    url: str = ""  # empty if the clip is in the status message


@dataclass(frozen=True, slots=True)
class Upload:
    """A local file and its name in the chat."""

    path: Path
    name: str

    @property
    def size(self) -> int:
        return self.path.stat().st_size


class Sender:
    def __init__(self, client: discord.Client) -> None:
        self._client = client

    async def edit(self, to: ReplyTo, card: Card, upload: Upload | None = None) -> None:
        """Edit the status message, by its token or through its channel; raises SendError."""
        if not to.status:
            raise Rejected("there is no status message")
        if token_is_valid(to):
            try:
                await self._edit_by_token(to, card, upload)
            except Rejected:
                if to.private:
                    raise
            else:
                return
        if to.private:
            raise Rejected("the token of a private answer has expired")
        channel = self._client.get_partial_messageable(int(to.chat))
        with raising_send_errors():
            await _with_fallback(channel.get_partial_message(int(to.status)).edit, card, upload)

    async def _edit_by_token(self, to: ReplyTo, card: Card, upload: Upload | None = None) -> None:
        """Edit by token; a repeated edit changes nothing."""
        webhook = discord.Webhook.partial(int(to.facts["app"]), to.token, client=self._client)
        with raising_send_errors(upload.size if upload else 0):
            await _with_fallback(
                lambda **changes: webhook.edit_message(int(to.status), **changes), card, upload
            )

    async def send_clip(self, outgoing: OutgoingClip, card: Card, name: str) -> SentMessage:
        """Send the clip exactly once; raises SendError."""
        to = outgoing.job.reply_to
        if to.status and token_is_valid(to):
            try:
                await self._edit_by_token(to, card, Upload(outgoing.clip.path, name))
            except TooLarge:
                raise
            except Rejected as error:
                log.info("cannot deliver by token", reason=str(error))
            else:
                return SentMessage(to.status)
        routes: DeliveryRoutes = (
            [self._send_direct_message] if to.private else [self._send_to_channel, self._send_direct_message]
        )
        return await _send_by_first_route(routes, outgoing, card, name)

    async def notify(self, channel: int, card: Card, file: Path | None = None) -> None:
        """Send a notice to a channel that an admin chose; a failure is only logged."""
        attachment: dict[str, Any] = {"file": discord.File(file, card.media)} if file else {}
        try:
            await self._client.get_partial_messageable(channel).send(view=card.layout(), **attachment)
        except discord.HTTPException as error:
            log.warning("notice not sent", channel=channel, reason=f"{error.status} {error.code}")

    async def notify_user(self, user: int, card: Card) -> None:
        """Send a direct message; raises a SendError."""
        with raising_send_errors():
            channel = await self._client.create_dm(discord.Object(user, type=discord.User))
            await channel.send(view=card.layout())

    def channel_name(self, number: int) -> str:
        channel = self._client.get_channel(number)
        return getattr(channel, "name", str(number))

    async def _send_to_channel(self, outgoing: OutgoingClip, card: Card, name: str) -> SentMessage:
        to = outgoing.job.reply_to
        channel = self._client.get_partial_messageable(int(to.chat))
        already = await _find_sent_clip(channel, outgoing, name)
        if already is not None:
            return already
        reference = None
        if to.status:
            reference = discord.MessageReference(
                message_id=int(to.status), channel_id=int(to.chat), fail_if_not_exists=False
            )
        return await _send_message(channel, outgoing, card, name, reference=reference)

    async def _send_direct_message(self, outgoing: OutgoingClip, card: Card, name: str) -> SentMessage:
        user = discord.Object(int(outgoing.job.requester.user), type=discord.User)
        with raising_send_errors():
            channel = await self._client.create_dm(user)
        return await _find_sent_clip(channel, outgoing, name) or await _send_message(
            channel, outgoing, card, name, reference=None
        )


async def _find_sent_clip(
    channel: discord.abc.Messageable, outgoing: OutgoingClip, name: str
) -> SentMessage | None:
    """Find a clip that an earlier try has sent although its response was lost.

    The nonce does not suffice, as Discord keeps it for a few minutes only.
    """
    status = outgoing.job.reply_to.status
    start = datetime.fromtimestamp(outgoing.job.created_at - CLOCK_SKEW, UTC)
    try:
        async for message in channel.history(limit=SEARCHED_MESSAGES, after=start, oldest_first=False):
            names = {attachment.filename.removeprefix("SPOILER_") for attachment in message.attachments}
            if name in names:
                return SentMessage(str(message.id), "" if str(message.id) == status else message.jump_url)
    except discord.HTTPException:
        return None  # no permission to read the history: only the nonce protects
    return None


DeliveryRoutes = list[Callable[[OutgoingClip, Card, str], Coroutine[Any, Any, SentMessage]]]


def token_is_valid(to: ReplyTo) -> bool:
    return bool(to.token) and time.time() < to.token_until


async def _with_fallback(edit: Edit, card: Card, upload: Upload | None = None) -> None:
    """Edit as a card, or as plain text if Discord refuses the card."""

    def files(*, spoiler: bool = False) -> list[discord.File]:
        return [discord.File(upload.path, upload.name, spoiler=spoiler)] if upload else []

    try:
        await edit(view=card.layout(), attachments=files())
    except discord.HTTPException as error:
        if error.code != INVALID_FORM_BODY:
            raise
        log.warning("card refused", reason=str(error))
        text, view = card.as_plain_message()
        await edit(content=text, view=view, attachments=files(spoiler=card.spoiler))


async def _send_message(
    channel: discord.abc.Messageable,
    outgoing: OutgoingClip,
    card: Card,
    name: str,
    *,
    reference: discord.MessageReference | None,
) -> SentMessage:
    options: dict[str, Any] = {"nonce": outgoing.nonce, "allowed_mentions": _mention_only(card.mention)}
    if reference is not None:
        options["reference"] = reference
    with raising_send_errors(outgoing.clip.size):
        try:
            view = card.layout()
            message = await channel.send(view=view, file=discord.File(outgoing.clip.path, name), **options)
        except discord.HTTPException as error:
            if error.code == MISSING_READ_HISTORY and reference is not None:
                return await _send_message(channel, outgoing, card, name, reference=None)
            if error.code != INVALID_FORM_BODY:
                raise
            log.warning("card refused", reason=str(error))
            text, rows = card.as_plain_message()
            plain: dict[str, Any] = {"view": rows} if rows else {}
            file = discord.File(outgoing.clip.path, name, spoiler=card.spoiler)
            message = await channel.send(text, file=file, **plain, **options)
    return SentMessage(str(message.id), message.jump_url)


def _mention_only(user: str | None) -> discord.AllowedMentions:
    if user is None:
        return discord.AllowedMentions.none()
    return discord.AllowedMentions(
        everyone=False, roles=False, replied_user=False, users=[discord.Object(int(user))]
    )


async def _send_by_first_route(
    routes: DeliveryRoutes, outgoing: OutgoingClip, card: Card, name: str
) -> SentMessage:
    refusal: SendError = Rejected("no route is left")
    for route in routes:
        try:
            return await route(outgoing, card, name)
        except Rejected as error:
            log.info("route refused", route=getattr(route, "__name__", ""), reason=str(error))
            refusal = error
    raise refusal
