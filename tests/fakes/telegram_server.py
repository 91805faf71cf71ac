"""A loopback Bot API that is as strict as the real one. The real client reaches it through its base URL."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
from aiohttp import web

from tests.fakes.telegram_faults import Fault, FaultQueue, respond_with_fault
from tests.fakes.telegram_methods import Call, call_method, decode
from tests.fakes.telegram_spec import check_answer, check_call, check_update
from tests.fakes.telegram_validation import ApiError
from tests.fakes.telegram_world import World

T = TypeVar("T")
TOKEN = "7000001:AAloopback-token-for-tests-only-00000"  # noqa: S105  (opens nothing but this fake)
CONFLICT = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"


CallObserver = Callable[[Call, bool], Awaitable[None]]
"""Called twice per call: when it arrives, and when it was performed but not yet answered."""


async def _ignore_call(_call: Call, _done: bool, /) -> None:  # noqa: FBT001  (the signature of CallObserver)
    """Do nothing."""


class TelegramServer:
    """`async with TelegramServer() as server:` then `.base_url(server.url + "/bot")`."""

    def __init__(self, *, token: str = TOKEN) -> None:
        self.token = token
        self.world = World()
        self.faults = FaultQueue()
        self.calls: list[Call] = []
        self.spec_violations: list[str] = []  # calls and answers that differ from Telegram's description
        self.updates: list[dict[str, Any]] = []
        self.webhook: dict[str, Any] = {}
        self.url = ""
        self.polls = 0
        self.latency = 0.0  # seconds to delay every call, as a real network does
        self.delivered_by_webhook = 0
        self.observe_call: CallObserver = _ignore_call
        self._changed = asyncio.Condition()
        self._closing = asyncio.Event()
        self._last_update = 1000
        self._pushes: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=200 * 2**20)
        app.router.add_route("*", "/bot{token}/{method}", self._handle_request)
        app.router.add_get("/file/bot{token}/files/{name}", self._download)
        self._runner = web.AppRunner(app, shutdown_timeout=0.5)
        await self._runner.setup()
        self._site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await self._site.start()
        self.port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._client = aiohttp.ClientSession()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        await self._notify()
        for push in list(self._pushes):
            push.cancel()
        await asyncio.gather(*self._pushes, return_exceptions=True)
        await self._client.close()
        await self._runner.cleanup()
        assert not self.spec_violations, "\n".join(self.spec_violations)

    def fail_next(self, method: str, *faults: Fault) -> None:
        """Answer the next calls of `method` with these faults."""
        self.faults.add(method, *faults)

    def calls_of(self, method: str) -> list[Call]:
        return [call for call in self.calls if call.method == method]

    async def wait_until(self, condition: Callable[[], T], *, within: float = 20.0) -> T:
        """Wait, without polling, until `condition` returns something true; return it."""
        async with asyncio.timeout(within), self._changed:
            while not (found := condition()):
                await self._changed.wait()
        return found

    async def stop_listening(self) -> None:
        """Break open connections and refuse new ones."""
        await self._site.stop()
        server = self._runner.server
        for connection in list(server.connections) if server is not None else []:
            connection.force_close()

    async def resume_listening(self) -> None:
        self._site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await self._site.start()

    async def push_update(self, **content: Any) -> int:
        """Send an update to the bot; return its id."""
        self._last_update += 1
        update = {"update_id": self._last_update, **content}
        self.spec_violations += check_update(update)
        if self.webhook:
            self._send_by_webhook(update)
        else:
            self.updates.append(update)
            await self._notify()
        return self._last_update

    async def repeat_update(self, update: dict[str, Any]) -> None:
        """Send the same update again, as Telegram does after a lost confirmation."""
        self.updates.append(update)
        await self._notify()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _handle_request(self, request: web.Request) -> web.StreamResponse:
        if request.match_info["token"] != self.token:
            return _error_response(401, "Unauthorized")
        call = await _read_call(request)
        if call.method == "getUpdates":
            return await self._get_updates(call)
        self.calls.append(call)
        if self.latency:
            await asyncio.sleep(self.latency)
        self.spec_violations += check_call(call.method, call.parameters, set(call.files))
        await self.observe_call(call, False)
        fault = self.faults.next(call.method)
        if fault is None:
            return await self._perform_call(call)
        if fault.performed:
            await self._perform_call(call)
        await self._notify()
        return await respond_with_fault(fault, request, self._closing)

    async def _perform_call(self, call: Call) -> web.Response:
        try:
            result = self._webhook_method(call) if "ebhook" in call.method else call_method(self.world, call)
        except ApiError as refusal:
            return _error_response(refusal.code, refusal.description, refusal.parameters)
        finally:
            await self._notify()
        self.spec_violations += check_answer(call.method, result)
        await self.observe_call(call, True)
        return web.json_response({"ok": True, "result": result})

    async def _get_updates(self, call: Call) -> web.Response:
        if self.webhook:
            return _error_response(
                409, "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook"
            )
        self.polls += 1
        this_poll = self.polls
        await self._notify()
        offset = call.get("offset") or 0
        self.updates = [update for update in self.updates if update["update_id"] >= offset]
        with suppress(TimeoutError):
            await self.wait_until(
                lambda: self.updates or this_poll != self.polls or self._closing.is_set(),
                within=call.get("timeout") or 0.001,
            )
        if this_poll != self.polls:
            return _error_response(409, CONFLICT)
        wanted = call.get("allowed_updates")
        fresh = [u for u in self.updates if not wanted or set(wanted) & set(u)][: call.get("limit") or 100]
        return web.json_response({"ok": True, "result": fresh})

    def _webhook_method(self, call: Call) -> Any:
        if call.method == "getWebhookInfo":
            url = self.webhook.get("url", "")
            return {
                "url": url,
                "has_custom_certificate": False,
                "pending_update_count": len(self.updates),
            }
        if call.get("drop_pending_updates"):
            self.updates.clear()
        self.webhook = call.parameters if call.method == "setWebhook" and call.get("url") else {}
        waiting, self.updates = (self.updates, []) if self.webhook else ([], self.updates)
        for update in waiting:
            self._send_by_webhook(update)
        return True

    def _send_by_webhook(self, update: dict[str, Any]) -> None:
        task = asyncio.create_task(self._post_until_accepted(update))
        self._pushes.add(task)
        task.add_done_callback(self._pushes.discard)

    async def _post_until_accepted(self, update: dict[str, Any]) -> None:
        """Send an update again until the webhook answers with a 2xx status, as Telegram does."""
        secret = self.webhook.get("secret_token", "")
        headers = {"X-Telegram-Bot-Api-Secret-Token": secret} if secret else {}
        while self.webhook:
            with suppress(aiohttp.ClientError):
                async with self._client.post(self.webhook["url"], json=update, headers=headers) as answer:
                    if answer.ok:
                        self.delivered_by_webhook += 1
                        await self._notify()
                        return
            await asyncio.sleep(0.05)

    async def _download(self, request: web.Request) -> web.Response:
        content = self.world.files.get(request.match_info["name"])
        if request.match_info["token"] != self.token or content is None:
            return _error_response(404, "Not Found")
        return web.Response(body=content)


def _error_response(code: int, description: str, parameters: dict[str, int] | None = None) -> web.Response:
    body = {"ok": False, "error_code": code, "description": description}
    return web.json_response(body | ({"parameters": parameters} if parameters else {}), status=code)


async def _read_call(request: web.Request) -> Call:
    call = Call(request.match_info["method"], {k: decode(k, v) for k, v in request.query.items()})
    if request.content_type == "application/json":
        call.parameters |= json.loads(await request.read() or b"{}")
        return call
    for name, value in (await request.post()).items():
        if isinstance(value, web.FileField):
            call.files[name] = value.file.read()
        else:
            call.parameters[name] = decode(name, str(value))
    return call
