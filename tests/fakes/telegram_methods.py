"""The methods of the loopback Bot API. Each is a function of the world's state and one call."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.fakes.telegram_validation import (
    CAPTION_LIMIT,
    FILE_LIMIT,
    TEXT_LIMIT,
    ApiError,
    bad_request,
    check_keyboard,
    check_text,
    check_upload,
)
from tests.fakes.telegram_world import BOT, Chat, Message, World

TEXT_FIELDS = frozenset(
    """
    text caption parse_mode url callback_query_id inline_query_id file_id title description payload currency
    name provider_token secret_token language_code action inline_message_id next_offset start_parameter video
    photo animation audio document thumbnail telegram_payment_charge_id pre_checkout_query_id error_message
    short_description
    """.split()  # noqa: SIM905  (thirty quoted words are harder to read)
)
MEDIA = {"sendVideo": "video", "sendPhoto": "photo", "sendAnimation": "animation", "sendAudio": "audio"}
MEDIA |= {"sendDocument": "document"}


@dataclass
class Call:
    method: str
    parameters: dict[str, Any]
    files: dict[str, bytes] = field(default_factory=dict)

    def get(self, name: str) -> Any:
        return self.parameters.get(name)

    def require(self, name: str) -> Any:
        if name not in self.parameters:
            raise bad_request(f'parameter "{name}" is required')
        return self.parameters[name]


def decode(name: str, value: str) -> Any:
    """Decode a form field as the API does: JSON, except for text fields."""
    if name in TEXT_FIELDS:
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


Method = Callable[[World, Call], Any]
METHODS: dict[str, Method] = {}
RATE_LIMITED_METHODS: set[str] = set()
"""Methods that count against a chat's rate limit."""


def api_method(*names: str, rate_limited: bool = False) -> Callable[[Method], Method]:
    def register(function: Method) -> Method:
        METHODS.update(dict.fromkeys(names, function))
        RATE_LIMITED_METHODS.update(names if rate_limited else ())
        return function

    return register


@api_method("getMe")
def get_me(_world: World, _call: Call) -> Any:
    return BOT


@api_method("sendMessage", rate_limited=True)
def send_message(world: World, call: Call) -> Any:
    text, entities = check_text(
        call.require("text"), call.get("parse_mode"), limit=TEXT_LIMIT, given_entities=call.get("entities")
    )
    return world.add_message(_new_message(world, call, text=text, entities=entities)).to_json()


@api_method(*MEDIA, rate_limited=True)
def send_media(world: World, call: Call) -> Any:
    kind = MEDIA[call.method]
    text, entities = check_text(call.get("caption") or "", call.get("parse_mode"), limit=CAPTION_LIMIT)
    content = call.files.get(kind) or _attached_bytes(world, call, call.get(kind))
    thumbnail = call.files.get("thumbnail") or _attached_bytes(world, call, call.get("thumbnail"))
    media = _store_media(world, kind, call.parameters, content, thumbnail)
    message = _new_message(world, call, text=text, entities=entities)
    message.media, message.spoiler = media, bool(call.get("has_spoiler"))
    return world.add_message(message).to_json()


@api_method("editMessageText", rate_limited=True)
def edit_text(world: World, call: Call) -> Any:
    message = _message_to_edit(world, call)
    if message.media:
        raise bad_request("there is no text in the message to edit")
    return _edit_message(
        message, call, *check_text(call.require("text"), call.get("parse_mode"), limit=TEXT_LIMIT)
    )


@api_method("editMessageCaption", rate_limited=True)
def edit_caption(world: World, call: Call) -> Any:
    message = _message_to_edit(world, call)
    text = check_text(call.get("caption") or "", call.get("parse_mode"), limit=CAPTION_LIMIT)
    return _edit_message(message, call, *text)


@api_method("editMessageReplyMarkup", rate_limited=True)
def edit_keyboard(world: World, call: Call) -> Any:
    message = _message_to_edit(world, call)
    return _edit_message(message, call, message.text, message.entities)


@api_method("editMessageMedia", rate_limited=True)
def edit_media(world: World, call: Call) -> Any:
    message = _message_to_edit(world, call)
    media = call.require("media")
    text, entities = check_text(media.get("caption") or "", media.get("parse_mode"), limit=CAPTION_LIMIT)
    attached = {name: _attached_bytes(world, call, media.get(name)) for name in ("media", "thumbnail")}
    content = _store_media(
        world,
        media["type"],
        {media["type"]: media["media"], **media},
        attached["media"],
        attached["thumbnail"],
    )
    message.revisions.append(message.text)
    message.media, message.spoiler = content, bool(media.get("has_spoiler"))
    message.text, message.entities = text, entities
    message.keyboard = check_keyboard(call.get("reply_markup"))
    return message.to_json() | {"edit_date": message.date}


@api_method("deleteMessage")
def delete_message(world: World, call: Call) -> Any:
    message = world.find_message(world.writable_chat(call.require("chat_id")), call.require("message_id"))
    if message is None:
        raise bad_request("message to delete not found")
    message.deleted = True
    return True


@api_method("sendChatAction")
def chat_action(world: World, call: Call) -> Any:
    world.writable_chat(call.require("chat_id"))
    if call.require("action") not in {
        "typing",
        "upload_video",
        "upload_photo",
        "record_video",
        "upload_document",
    }:
        raise bad_request("wrong parameter action in request")
    return True


@api_method("setMyCommands", "deleteMyCommands")
def set_commands(world: World, call: Call) -> Any:
    key = (
        json.dumps(call.get("scope") or {"type": "default"}, sort_keys=True),
        call.get("language_code") or "",
    )
    commands = call.get("commands") or []
    for command in commands:
        _check_command(command)
    if len(commands) > 100:
        raise bad_request("too many bot commands")
    world.commands[key] = commands
    return True


@api_method("setMyDescription", "setMyShortDescription")
def set_description(_world: World, _call: Call) -> Any:
    return True


@api_method("getFile")
def get_file(world: World, call: Call) -> Any:
    name = call.require("file_id")
    if name not in world.files:
        raise bad_request("invalid file_id")
    size = len(world.files[name])
    if size > 20 * 2**20:
        raise bad_request("file is too big")
    path = f"files/{name}" if world.shared_folder is None else str(world.shared_folder / name)
    return {"file_id": name, "file_unique_id": f"u{name}", "file_size": size, "file_path": path}


@api_method("getChatAdministrators")
def administrators(world: World, call: Call) -> Any:
    chat = world.writable_chat(call.require("chat_id"))
    if chat.type == "private":
        raise bad_request("there are no administrators in the private chat")
    return [_member(world, chat, person) for person in sorted(chat.admins)]


@api_method("getChatMember")
def member(world: World, call: Call) -> Any:
    chat = world.writable_chat(call.require("chat_id"))
    if call.require("user_id") not in world.people:
        raise bad_request("PARTICIPANT_ID_INVALID")
    return _member(world, chat, call.require("user_id"))


@api_method("sendInvoice", rate_limited=True)
def send_invoice(world: World, call: Call) -> Any:
    prices = call.require("prices")
    if call.require("currency") != "XTR" or call.get("provider_token") or len(prices) != 1:
        raise bad_request("CURRENCY_INVALID")
    message = _new_message(world, call, text="", entities=[])
    described = {name: call.require(name) for name in ("title", "description", "currency")}
    message.media = {
        "invoice": {**described, "start_parameter": "", "total_amount": prices[0]["amount"]},
    }
    world.invoices[message.id] = call.require("payload")
    return world.add_message(message).to_json()


@api_method("refundStarPayment")
def refund(world: World, call: Call) -> Any:
    charge = call.require("telegram_payment_charge_id")
    if world.charges.get(charge) != call.require("user_id"):
        raise bad_request("CHARGE_NOT_FOUND")
    if charge in world.refunded:
        raise bad_request("CHARGE_ALREADY_REFUNDED")
    world.refunded.add(charge)
    return True


@api_method("answerCallbackQuery", "answerPreCheckoutQuery", "answerInlineQuery")
def answer(world: World, call: Call) -> Any:
    """Answer a query. Each can be answered once, and only until it expires."""
    names = ("callback_query_id", "pre_checkout_query_id", "inline_query_id")
    number = next((str(call.get(name)) for name in names if call.get(name)), "")
    if number not in world.queries or len(call.get("text") or "") > 200:
        raise bad_request("query is too old and response timeout expired or query ID is invalid")
    for result in call.get("results") or []:
        if result.get("type") == "video" and result.get("video_file_id") not in world.files:
            raise bad_request("wrong file identifier/HTTP URL specified")
    world.queries.remove(number)
    world.answers[number] = call.parameters
    return True


def _check_command(command: dict[str, str]) -> None:
    name, description = command.get("command", ""), command.get("description", "")
    if not (1 <= len(name) <= 32 and name.isascii() and name.replace("_", "a").isalnum() and name.islower()):
        raise bad_request("BOT_COMMAND_INVALID")
    if not 1 <= len(description) <= 256:
        raise bad_request("BOT_COMMAND_DESCRIPTION_INVALID")


def _member(world: World, chat: Chat, person: int) -> dict[str, Any]:
    user = world.people[person].to_json()
    if person not in chat.admins:
        return {"status": "member", "user": user}
    return {"status": "creator", "user": user, "is_anonymous": False}


def _new_message(world: World, call: Call, *, text: str, entities: list[dict[str, Any]]) -> Message:
    chat = world.writable_chat(call.require("chat_id"))
    thread = call.get("message_thread_id")
    if thread is not None and thread not in chat.topics:
        raise bad_request("message thread not found")
    if thread in chat.closed_topics:
        raise bad_request("TOPIC_CLOSED")
    chat.apply_slow_mode()
    reply = call.get("reply_parameters") or {}
    replied = world.find_message(chat, reply.get("message_id"))
    if reply and replied is None and not reply.get("allow_sending_without_reply"):
        raise bad_request("message to be replied not found")
    return Message(
        world.next_id(),
        chat,
        text=text,
        entities=entities,
        keyboard=check_keyboard(call.get("reply_markup")),
        thread=thread,
        reply_to=replied,
    )


def _message_to_edit(world: World, call: Call) -> Message:
    if call.get("inline_message_id"):
        raise bad_request("MESSAGE_ID_INVALID")
    message = world.find_message(world.writable_chat(call.require("chat_id")), call.require("message_id"))
    if message is None:
        raise bad_request("message to edit not found")
    if not message.from_bot:
        raise bad_request("message can't be edited")
    return message


def _edit_message(message: Message, call: Call, text: str, entities: list[dict[str, Any]]) -> Any:
    keyboard = check_keyboard(call.get("reply_markup"))
    if message.same_as(text, entities, keyboard):
        raise bad_request(
            "message is not modified: specified new message content and reply markup are exactly the same as"
            " a current content and reply markup of the message"
        )
    message.revisions.append(message.text)
    message.text, message.entities, message.keyboard = text, entities, keyboard
    return message.to_json() | {"edit_date": message.date}


def _attached_bytes(world: World, call: Call, value: object) -> bytes | None:
    if isinstance(value, str) and value.startswith("file://") and world.shared_folder is not None:
        return Path(unquote(urlsplit(value).path)).read_bytes()
    if not isinstance(value, str) or not value.startswith("attach://"):
        return None
    if value.removeprefix("attach://") not in call.files:
        raise bad_request("wrong file identifier/HTTP URL specified")
    return call.files[value.removeprefix("attach://")]


def _store_media(
    world: World, kind: str, fields: dict[str, Any], content: bytes | None, thumbnail: bytes | None
) -> dict[str, Any]:
    if content is not None:
        check_upload(kind, len(content), limit=world.file_limit)
        stored = world.store_file(content)
    elif fields.get(kind) in world.files:
        name = fields[kind]
        stored = {"file_id": name, "file_unique_id": f"u{name}", "file_size": len(world.files[name])}
    else:
        raise bad_request("wrong file identifier/HTTP URL specified")
    if kind == "photo":
        return {"photo": [stored | {"width": 64, "height": 64}]}
    if thumbnail is not None:
        check_upload("thumbnail", len(thumbnail), limit=FILE_LIMIT)
        stored["thumbnail"] = world.store_file(thumbnail) | {"width": 64, "height": 64}
    if kind != "document":
        stored |= {name: int(fields.get(name) or 0) for name in ("width", "height", "duration")}
    if kind == "audio":
        stored = {name: value for name, value in stored.items() if name not in {"width", "height"}}
    return {kind: stored | {"file_name": f"{kind}.bin", "mime_type": "video/mp4"}}


def call_method(world: World, call: Call) -> Any:
    """Perform a call on the world. Raises ApiError."""
    function = METHODS.get(call.method)
    if function is None:
        raise ApiError(404, "Not Found")
    chat = world.chats.get(call.get("chat_id") or 0)
    if call.method in RATE_LIMITED_METHODS and chat is not None and not chat.blocked:
        world.flood_control_of(chat).count_message()
    return function(world, call)
