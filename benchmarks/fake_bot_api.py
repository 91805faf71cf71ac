"""A minimal Telegram Bot API, so cheap that only its client is measured."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs

TOKEN = "7000001:AAloopback-token-for-benchmarks-only"  # noqa: S105  (valid only here)
REQUEST = re.compile(rb"(?:GET|POST) /bot[^/]+/(\w+)")
LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
ME = {"id": 7000001, "is_bot": True, "first_name": "Matinee", "username": "matinee_bot"}


class FakeBotApi:
    """Pending updates, and when each user was answered."""

    def __init__(self, latency: float) -> None:
        self.latency = latency
        self.updates: list[dict[str, Any]] = []
        self.answered_at: dict[int, float] = {}
        self.has_updates = asyncio.Event()
        self._ids = iter(range(1, 10**9))

    def write(self, user_id: int, text: str) -> None:
        user = {"id": user_id, "is_bot": False, "first_name": "Ada", "language_code": "en"}
        message = {
            "message_id": next(self._ids),
            "date": int(time.time()),
            "from": user,
            "chat": {"id": user_id, "type": "private", "first_name": "Ada"},
            "text": text,
            "entities": [{"type": "bot_command", "offset": 0, "length": len(text)}],
        }
        self.updates.append({"update_id": next(self._ids), "message": message})
        self.has_updates.set()

    async def answer(self, method: str, body: bytes) -> object:
        if method == "getUpdates":
            return await self._get_updates(_parameters(body))
        if method == "sendMessage":
            return self._send_message(_parameters(body))
        return ME if method == "getMe" else True

    async def _get_updates(self, parameters: dict[str, Any]) -> object:
        offset = int(parameters.get("offset") or 0)
        self.updates = [update for update in self.updates if update["update_id"] >= offset]
        if not self.updates:
            self.has_updates.clear()
            try:
                await asyncio.wait_for(self.has_updates.wait(), float(parameters.get("timeout") or 0) or 0.01)
            except TimeoutError:
                return []
        return self.updates[: int(parameters.get("limit") or 100)]

    def _send_message(self, parameters: dict[str, Any]) -> object:
        user_id = int(parameters["chat_id"])
        self.answered_at.setdefault(user_id, time.perf_counter())
        chat = {"id": user_id, "type": "private", "first_name": "Ada"}
        return {
            "message_id": next(self._ids),
            "date": 1,
            "from": ME,
            "chat": chat,
            "text": parameters["text"],
        }


class _Connection(asyncio.Protocol):
    """One persistent connection with one request at a time."""

    def __init__(self, api: FakeBotApi) -> None:
        self._api = api
        self._buffer = b""
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        size = int(length[1]) if length else 0
        if not separator or len(rest) < size:
            return
        self._buffer = rest[size:]
        found = REQUEST.match(head)
        assert found is not None, head
        task = asyncio.create_task(self._reply(found[1].decode(), rest[:size]))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reply(self, method: str, body: bytes) -> None:
        if self._api.latency:
            await asyncio.sleep(self._api.latency)
        content = json.dumps({"ok": True, "result": await self._api.answer(method, body)}).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        self._transport.write(head.encode() + content)


def _parameters(body: bytes) -> dict[str, Any]:
    if body.startswith(b"{"):
        found: dict[str, Any] = json.loads(body)
        return found
    return {name: values[0] for name, values in parse_qs(body.decode()).items()}


@asynccontextmanager
async def fake_bot_api(latency: float) -> AsyncIterator[tuple[FakeBotApi, str]]:
    """Yields the API and its address."""
    api = FakeBotApi(latency)
    server = await asyncio.get_running_loop().create_server(
        lambda: _Connection(api), "127.0.0.1", 0, backlog=1024
    )
    try:
        yield api, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
