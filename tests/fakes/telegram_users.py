"""Simulated Telegram users who write, send pictures, press buttons and pay."""

from __future__ import annotations

import re
from typing import Any

from tests.fakes.telegram_server import TelegramServer
from tests.fakes.telegram_validation import utf16_length
from tests.fakes.telegram_world import Chat, Message, Person

COMMAND = re.compile(r"/[a-zA-Z0-9_]+(@[a-zA-Z0-9_]+)?")


class TelegramUser:
    """One user of the loopback server."""

    def __init__(
        self, server: TelegramServer, name: str, *, language: str = "en", username: str = ""
    ) -> None:
        self.server = server
        self.person: Person = server.world.add_person(name, language=language, username=username)

    @property
    def id(self) -> int:
        return self.person.id

    @property
    def private_chat(self) -> Chat:
        """The user's private chat with the bot."""
        return self.server.world.chats[self.person.id]

    async def writes(
        self,
        text: str,
        *,
        chat: Chat | None = None,
        thread: int | None = None,
        reply_to: Message | None = None,
        photo: bytes | None = None,
        document: tuple[bytes, str, str] | None = None,
        sticker: bytes | None = None,
        voice: bytes | None = None,
        album: str = "",
        extra: dict[str, Any] | None = None,
    ) -> Message:
        """Send a message of any kind. `extra` adds further fields as they are, such as forward_origin."""
        world = self.server.world
        message = Message(
            world.next_id(), chat or self.private_chat, self.person, text, _entities(text), thread=thread
        )
        message.reply_to = reply_to
        message.extra = dict(extra or {}) | ({"media_group_id": album} if album else {})
        if photo is not None:
            sizes = (world.store_file(photo[:90]), world.store_file(photo))
            message.media = {
                "photo": [size | {"width": 90 * n, "height": 90 * n} for n, size in enumerate(sizes, 1)]
            }
        if document is not None:
            content, name, kind = document
            message.media = {"document": world.store_file(content) | {"file_name": name, "mime_type": kind}}
        if sticker is not None:
            static_sticker = {
                "width": 512,
                "height": 512,
                "is_animated": False,
                "is_video": False,
                "type": "regular",
            }
            message.media = {"sticker": world.store_file(sticker) | static_sticker}
        if voice is not None:
            message.media = {"voice": world.store_file(voice) | {"duration": 1}}
        world.add_message(message)
        await self.server.push_update(message=message.to_json())
        return message

    async def edits(self, message: Message, text: str) -> None:
        message.text, message.entities = text, _entities(text)
        await self.server.push_update(edited_message=message.to_json() | {"edit_date": message.date})

    async def presses(self, message: Message, label: str, *, expired: bool = False) -> str:
        """Press the button whose text contains `label`; return the id of the callback query."""
        return await self.sends_callback(message, message.button(label)["callback_data"], expired=expired)

    async def sends_callback(self, message: Message, data: str, *, expired: bool = False) -> str:
        """Send arbitrary callback data, as a manipulated client can; return the id of the callback query."""
        query = str(self.server.world.next_id())
        if not expired:
            self.server.world.queries.add(query)
        await self.server.push_update(
            callback_query={
                "id": query,
                "from": self.person.to_json(),
                "message": message.to_json(),
                "chat_instance": str(message.chat.id),
                "data": data,
            }
        )
        return query

    async def searches_inline(self, words: str = "", *, offset: str = "") -> list[dict[str, Any]]:
        """Type the bot's name and `words` in a chat; return the offered results."""
        world = self.server.world
        query = str(world.next_id())
        world.queries.add(query)
        await self.server.push_update(
            inline_query={"id": query, "from": self.person.to_json(), "query": words, "offset": offset}
        )
        answer = await self.answer_to(query)
        results: list[dict[str, Any]] = answer["results"]
        return results

    async def answer_to(self, query: str) -> dict[str, Any]:
        """Wait for the bot's answer to a pressed button, an inline query or a checkout."""
        answer = await self.server.wait_until(lambda: self.server.world.answers.get(query))
        assert answer is not None
        return answer

    async def pays(self, invoice: Message) -> str:
        """Complete the checkout and pay; return Telegram's id of the charge."""
        world = self.server.world
        query = str(world.next_id())
        world.queries.add(query)
        terms = {
            "currency": "XTR",
            "total_amount": invoice.media["invoice"]["total_amount"],
            "invoice_payload": world.invoices[invoice.id],
        }
        await self.server.push_update(
            pre_checkout_query={"id": query, "from": self.person.to_json(), **terms}
        )
        answer = await self.answer_to(query)
        assert answer["ok"], answer
        charge = f"charge-{query}"
        world.charges[charge] = self.id
        paid = Message(world.next_id(), invoice.chat, self.person)
        numbers = {"telegram_payment_charge_id": charge, "provider_payment_charge_id": ""}
        paid.media = {"successful_payment": {**terms, **numbers}}
        await self.server.push_update(message=world.add_message(paid).to_json())
        return charge

    def bot_messages(self, chat: Chat | None = None) -> list[Message]:
        """The messages that the bot has sent to the chat so far."""
        return self.server.world.bot_messages(chat or self.private_chat)

    async def hears(
        self, words: str, *, chat: Chat | None = None, within: float = 20.0, kind: str | None = None
    ) -> Message:
        """Wait until a message of the bot contains `words`; an edited message counts too."""

        def matching_message() -> Message | None:
            candidates = (m for m in reversed(self.bot_messages(chat)) if kind in {None, m.kind})
            return next((m for m in candidates if words.lower() in m.text.lower()), None)

        try:
            message = await self.server.wait_until(matching_message, within=within)
        except TimeoutError:
            texts = [message.text for message in self.bot_messages(chat)]
            raise AssertionError(f"no message contains {words!r}; the bot sent {texts}") from None
        assert message is not None
        return message

    async def receives(self, kind: str, *, chat: Chat | None = None, within: float = 20.0) -> Message:
        """Wait for a message of the bot with media of this kind, such as "video"; return the newest."""
        message = await self.server.wait_until(
            lambda: next((m for m in reversed(self.bot_messages(chat)) if m.kind == kind), None),
            within=within,
        )
        assert message is not None
        return message


def _entities(text: str) -> list[dict[str, Any]]:
    """The entities that a client adds for a command and for hashtags."""
    command = COMMAND.match(text)
    found = [("bot_command", command)] if command else []
    found += [("hashtag", tag) for tag in re.finditer(r"#\w+", text)]
    return [
        {"type": kind, "offset": utf16_length(text[: mark.start()]), "length": utf16_length(mark[0])}
        for kind, mark in found
    ]
