"""The types of what the bot reads of an update: python-telegram-bot checks none of them."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

Number = Annotated[int, Meta(ge=-(2**53), le=2**53)]
Date = Annotated[int, Meta(ge=0, le=253_402_300_799)]  # up to the year 9999
Type = Annotated[str, Meta(max_length=64)]


class User(Struct):
    id: Number
    is_bot: bool
    first_name: str
    last_name: str | None = None
    username: str | None = None
    language_code: str | None = None


class Chat(Struct):
    id: Number
    type: Type
    title: str | None = None
    username: str | None = None


class File(Struct):
    file_id: str
    file_unique_id: str
    file_size: Number | None = None
    file_name: str | None = None
    mime_type: str | None = None
    title: str | None = None


class Payment(Struct):
    currency: str
    total_amount: Number
    invoice_payload: str
    telegram_payment_charge_id: str


class Button(Struct):
    text: str
    callback_data: str | None = None


class Keyboard(Struct):
    inline_keyboard: list[list[Button]]


class Quote(Struct):
    text: str
    position: Number


class Message(Struct):
    message_id: Number
    date: Date
    chat: Chat
    sender: User | None = msgspec.field(default=None, name="from")
    sender_chat: Chat | None = None
    via_bot: User | None = None
    text: str | None = None
    caption: str | None = None
    message_thread_id: Number | None = None
    media_group_id: str | None = None
    migrate_to_chat_id: Number | None = None
    quote: Quote | None = None
    reply_to_message: Message | None = None
    reply_markup: Keyboard | None = None
    photo: list[File] | None = None
    audio: File | None = None
    voice: File | None = None
    video: File | None = None
    document: File | None = None
    sticker: File | None = None
    successful_payment: Payment | None = None
    refunded_payment: Payment | None = None


class CallbackQuery(Struct):
    id: str
    sender: User = msgspec.field(name="from")
    message: Message | None = None
    data: str | None = None


class InlineQuery(Struct):
    id: str
    sender: User = msgspec.field(name="from")
    query: str
    offset: str


class PreCheckoutQuery(Struct):
    id: str
    sender: User = msgspec.field(name="from")
    currency: str
    total_amount: Number
    invoice_payload: str


class Membership(Struct):
    status: str
    user: User


class MembershipChange(Struct):
    chat: Chat
    sender: User = msgspec.field(name="from")
    date: Date
    old_chat_member: Membership
    new_chat_member: Membership


class Update(Struct):
    update_id: Number
    message: Message | None = None
    callback_query: CallbackQuery | None = None
    inline_query: InlineQuery | None = None
    pre_checkout_query: PreCheckoutQuery | None = None
    my_chat_member: MembershipChange | None = None


_decoder = msgspec.json.Decoder(Update)


def check_update(body: bytes) -> None:
    """Raise ValueError or RecursionError unless this is an update that the bot reads."""
    _decoder.decode(body)
