"""Carries cards and clips by whichever way is open: the interaction, the channel, a direct message."""

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
from bot.frontends.discord.send_errors import INVALID_FORM, NO_HISTORY, told_as_send_error
from bot.pipeline.delivery import Parcel, Rejected, SendError, TooLarge

log = structlog.get_logger(__name__)

Edit = Callable[..., Awaitable[Any]]

CLOCKS_DIFFER = 60.0
LOOK_BACK = 100
"""How many of the latest messages are looked through for a clip that was sent already: one page."""


@dataclass(frozen=True, slots=True)
class Sent:
    message: str
    url: str = ""  # a link to it, when it is not the status message itself


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of ours, and how the chat names it."""

    path: Path
    name: str

    @property
    def size(self) -> int:
        return self.path.stat().st_size


class Sender:
    def __init__(self, client: discord.Client) -> None:
        self._client = client

    async def edit(self, to: ReplyTo, card: Card, upload: Upload | None = None) -> None:
        """Change the status message, by its token or as any message of ours; raises SendError."""
        if not to.status:
            raise Rejected("there is no status message")
        if token_lives(to):
            try:
                await self._edit_by_token(to, card, upload)
            except Rejected:
                if to.private:
                    raise
            else:
                return
        if to.private:
            raise Rejected("a private answer whose token is dead")
        place = self._client.get_partial_messageable(int(to.chat))
        with told_as_send_error():
            await _with_fallback(place.get_partial_message(int(to.status)).edit, card, upload)

    async def _edit_by_token(self, to: ReplyTo, card: Card, upload: Upload | None = None) -> None:
        """The same edit twice shows once."""
        webhook = discord.Webhook.partial(int(to.facts["app"]), to.token, client=self._client)
        with told_as_send_error(upload.size if upload else 0):
            await _with_fallback(
                lambda **changes: webhook.edit_message(int(to.status), **changes), card, upload
            )

    async def deliver(self, parcel: Parcel, card: Card, name: str) -> Sent:
        """The clip, once; raises SendError."""
        to = parcel.job.reply_to
        if to.status and token_lives(to):
            try:
                await self._edit_by_token(to, card, Upload(parcel.clip.path, name))
            except TooLarge:
                raise
            except Rejected as closed:
                log.info("the interaction is closed", reason=str(closed))
            else:
                return Sent(to.status)
        ways: Ways = [self._to_person] if to.private else [self._to_channel, self._to_person]
        return await _first_open(ways, parcel, card, name)

    async def notify(self, channel: int, card: Card, file: Path | None = None) -> None:
        """A word to a place that an admin has named; that it is gone must not hurt anybody else."""
        more: dict[str, Any] = {"file": discord.File(file, card.media)} if file else {}
        try:
            await self._client.get_partial_messageable(channel).send(view=card.layout(), **more)
        except discord.HTTPException as error:
            log.warning("notice not sent", channel=channel, reason=f"{error.status} {error.code}")

    def channel_name(self, number: int) -> str:
        channel = self._client.get_channel(number)
        return getattr(channel, "name", str(number))

    async def _to_channel(self, parcel: Parcel, card: Card, name: str) -> Sent:
        to = parcel.job.reply_to
        place = self._client.get_partial_messageable(int(to.chat))
        already = await _found(place, parcel, name)
        if already is not None:
            return already
        reference = None
        if to.status:
            reference = discord.MessageReference(
                message_id=int(to.status), channel_id=int(to.chat), fail_if_not_exists=False
            )
        return await _post(place, parcel, card, name, reference=reference)

    async def _to_person(self, parcel: Parcel, card: Card, name: str) -> Sent:
        person = discord.Object(int(parcel.job.requester.user), type=discord.User)
        with told_as_send_error():
            channel = await self._client.create_dm(person)
        return await _found(channel, parcel, name) or await _post(channel, parcel, card, name, reference=None)


async def _found(place: discord.abc.Messageable, parcel: Parcel, name: str) -> Sent | None:
    """A clip that an earlier try has sent, its answer lost: a nonce is kept for minutes only."""
    status = parcel.job.reply_to.status
    start = datetime.fromtimestamp(parcel.job.created_at - CLOCKS_DIFFER, UTC)
    try:
        async for message in place.history(limit=LOOK_BACK, after=start, oldest_first=False):
            names = {attachment.filename.removeprefix("SPOILER_") for attachment in message.attachments}
            if name in names:
                return Sent(str(message.id), "" if str(message.id) == status else message.jump_url)
    except discord.HTTPException:
        return None  # not allowed to look: the nonce has to do
    return None


Ways = list[Callable[[Parcel, Card, str], Coroutine[Any, Any, Sent]]]


def token_lives(to: ReplyTo) -> bool:
    return bool(to.token) and time.time() < to.token_until


async def _with_fallback(edit: Edit, card: Card, upload: Upload | None = None) -> None:
    """As a card; as plain text if Discord does not take the card."""

    def files(*, spoiler: bool = False) -> list[discord.File]:
        return [discord.File(upload.path, upload.name, spoiler=spoiler)] if upload else []

    try:
        await edit(view=card.layout(), attachments=files())
    except discord.HTTPException as error:
        if error.code != INVALID_FORM:
            raise
        log.warning("card refused", reason=str(error))
        text, view = card.plain()
        await edit(content=text, view=view, attachments=files(spoiler=card.spoiler))


async def _post(
    place: discord.abc.Messageable,
    parcel: Parcel,
    card: Card,
    name: str,
    *,
    reference: discord.MessageReference | None,
) -> Sent:
    told: dict[str, Any] = {"nonce": parcel.nonce, "allowed_mentions": _only(card.mention)}
    if reference is not None:
        told["reference"] = reference
    with told_as_send_error(parcel.clip.size):
        try:
            view = card.layout()
            message = await place.send(view=view, file=discord.File(parcel.clip.path, name), **told)
        except discord.HTTPException as error:
            if error.code == NO_HISTORY and reference is not None:
                return await _post(place, parcel, card, name, reference=None)
            if error.code != INVALID_FORM:
                raise
            log.warning("card refused", reason=str(error))
            text, rows = card.plain()
            plain: dict[str, Any] = {"view": rows} if rows else {}
            file = discord.File(parcel.clip.path, name, spoiler=card.spoiler)
            message = await place.send(text, file=file, **plain, **told)
    return Sent(str(message.id), message.jump_url)


def _only(user: str | None) -> discord.AllowedMentions:
    if user is None:
        return discord.AllowedMentions.none()
    return discord.AllowedMentions(
        everyone=False, roles=False, replied_user=False, users=[discord.Object(int(user))]
    )


async def _first_open(ways: Ways, parcel: Parcel, card: Card, name: str) -> Sent:
    refusal: SendError = Rejected("no way is left")
    for way in ways:
        try:
            return await way(parcel, card, name)
        except Rejected as closed:
            log.info("a way is closed", way=getattr(way, "__name__", ""), reason=str(closed))
            refusal = closed
    raise refusal
