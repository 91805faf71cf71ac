"""The library's client, with what it does most made light: the echo of a text of ours is not read."""

from __future__ import annotations

from typing import Any, cast

from telegram import Bot
from telegram.request import RequestData
from telegram.request._requestparameter import RequestParameter


class Client(Bot):
    """Most calls are the library's own. For these two it would build a Message out of what we just said."""

    async def send_text(self, chat: int, text: str, **rest: Any) -> int:
        """sendMessage; the number of the message."""
        sent = await self._call_method("sendMessage", chat_id=chat, text=text, **rest)
        return int(cast("dict[str, Any]", sent)["message_id"])

    async def edit_text(self, chat: int, message: int, text: str, **rest: Any) -> None:
        """EditMessageText"""
        await self._call_method("editMessageText", chat_id=chat, message_id=message, text=text, **rest)

    async def _call_method(self, method: str, **parameters: Any) -> object:
        """Facts travel as they are: the library would first look for files in every one."""
        request_parameters = [
            RequestParameter(name, value, None) for name, value in parameters.items() if value is not None
        ]
        return await self.request.post(
            f"{self.base_url}/{method}", request_data=RequestData(request_parameters)
        )
