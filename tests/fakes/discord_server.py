"""A loopback Discord: REST and gateway on one TLS port, for the unpatched client."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import trustme
from aiohttp import web

from tests.fakes.discord_connector import HOSTS, connector
from tests.fakes.discord_gateway import Gateway
from tests.fakes.discord_rest import ACK_DEADLINE, Call, Rest
from tests.fakes.discord_validation import ApiError
from tests.fakes.discord_world import COMPONENTS_V2, JSON, MIB, World

TOKEN = "MTA0.loopback.c2VjcmV0IHRva2Vu"  # noqa: S105  (valid only for this fake)


@dataclass
class Fault:
    """A failure of the next `times` requests that match."""

    method: str
    path: str  # a regular expression, searched for in the path
    status: int = 500
    code: int = 0
    times: int = 1
    commit: bool = False  # the request takes effect: only its response is lost
    drop: bool = False  # no response: the connection closes
    retry_after: float | None = None  # respond 429 with this many seconds to wait
    uploads: bool = False  # only requests that carry files
    cards: bool = False  # only messages made of V2 components
    hits: int = 0

    def matches(self, call: Call) -> bool:
        if self.uploads and not call.files:
            return False
        if self.cards and not (call.body or {}).get("flags", 0) & COMPONENTS_V2:
            return False
        return self.hits < self.times and self.method == call.method and bool(re.search(self.path, call.path))


@dataclass
class Bucket:
    limit: int
    per: float
    used: int = 0
    since: float = 0.0

    def take(self) -> bool:
        now = time.monotonic()
        if now - self.since >= self.per:
            self.used, self.since = 0, now
        self.used += 1
        return self.used <= self.limit

    def headers(self, name: str) -> dict[str, str]:
        after = max(0.0, self.since + self.per - time.monotonic())
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(max(0, self.limit - self.used)),
            "X-RateLimit-Reset": f"{time.time() + after:.3f}",
            "X-RateLimit-Reset-After": f"{after:.3f}",
            "X-RateLimit-Bucket": name,
        }


CallObserver = Callable[[Call, bool], Awaitable[None]]
"""Called twice for each request: when it arrives, and before its response is sent."""


async def _ignore_call(_call: Call, _done: bool, /) -> None:  # noqa: FBT001  (the signature of a CallObserver)
    """Do nothing."""


@dataclass
class DiscordServer:
    world: World = field(default_factory=World)
    observe_call: CallObserver = _ignore_call
    token: str = TOKEN
    faults: list[Fault] = field(default_factory=list)
    limits: dict[str, tuple[int, float]] = field(
        default_factory=lambda: {
            "POST /channels/": (5, 5.0),
            "PATCH /channels/": (5, 5.0),
            "PATCH /webhooks/": (5, 2.0),
            "POST /webhooks/": (5, 2.0),
        }
    )
    rate_limited_count: int = 0  # responses with status 429
    statuses: Counter[int] = field(default_factory=Counter)
    ack_deadline: float = ACK_DEADLINE
    port: int = 0
    authority: str = ""

    def __post_init__(self) -> None:
        self.rest = Rest(self.world, self.ack_deadline)
        self.gateway = Gateway(self.world, self.token)
        self._buckets: dict[str, Bucket] = {}

    def connector(self) -> aiohttp.TCPConnector:
        return connector(self.port, self.authority)

    def add_fault(self, method: str, path: str, **how: Any) -> Fault:
        fault = Fault(method, path, **how)
        self.faults.append(fault)
        return fault

    async def handle_request(self, request: web.Request) -> web.StreamResponse:
        if request.host not in HOSTS:
            raise web.HTTPMisdirectedRequest
        if request.host.startswith("gateway"):
            return await self.gateway.serve(request)
        if request.host != "discord.com":
            return self._file(request)
        call = await self._read(request)
        await self.observe_call(call, False)
        status, body, headers = await self._outcome(request, call)
        await self.observe_call(call, True)
        self.statuses[status] += 1
        self._record(call, status, body)
        if status == 0:
            assert request.transport is not None
            request.transport.abort()
        return _response(status or 500, body, headers)

    def _file(self, request: web.Request) -> web.Response:
        found = self.world.files.get(request.path)
        if found is None:
            return web.Response(status=404)
        return web.Response(body=found.data, content_type=found.payload()["content_type"])

    async def _read(self, request: web.Request) -> Call:
        files: dict[str, tuple[str, bytes]] = {}
        body: Any = None
        if request.content_type == "multipart/form-data":
            async for part in await request.multipart():
                assert isinstance(part, aiohttp.BodyPartReader)
                data = bytes(await part.read())
                if part.name == "payload_json":
                    body = json.loads(data)
                else:
                    files[str(part.name)] = (part.filename or "", data)
        elif request.can_read_body:
            if request.headers.get("Content-Type") != "application/json":
                self.world.violations.append(f"{request.path} with {request.headers.get('Content-Type')}")
            body = json.loads(await request.read())
        return Call(request.method, request.path, dict(request.query), body, files)

    async def _outcome(self, request: web.Request, call: Call) -> tuple[int, Any, dict[str, str]]:
        """Return status, body and headers; status 0 stands for a connection closed without a response."""
        headers: dict[str, str] = {}
        try:
            handler = self.rest.find(call)
            headers = self._take_rate_limit(call)
            self._check_authorization(request, call)
            fault = next((fault for fault in self.faults if fault.matches(call)), None)
            if fault is not None:
                fault.hits += 1
                if fault.commit:
                    await handler(call)
                return self._fault_response(fault, headers)
            body = await handler(call)
        except ApiError as error:
            if error.status == 429:
                return _rate_limited_response(headers, float(error.message))
            if error.status == 400 and error.code in {50035, 50006}:
                self.world.violations.append(f"{call.method} {call.path}: {error.message}")
            return error.status, {"message": error.message, "code": error.code}, headers
        return (200, body, headers) if body is not None else (204, None, headers)

    def _fault_response(self, fault: Fault, headers: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
        if fault.drop:
            return 0, None, headers
        if fault.retry_after is not None:
            return _rate_limited_response(headers, fault.retry_after)
        if fault.status >= 500:
            return fault.status, "<html>upstream error</html>", headers
        return fault.status, {"message": "scripted", "code": fault.code}, headers

    def _check_authorization(self, request: web.Request, call: Call) -> None:
        given = request.headers.get("Authorization")
        by_token = re.match(r"/api/v10/(webhooks/\d+/|interactions/)", call.path)
        if not by_token and given != f"Bot {self.token}":
            raise ApiError(401, 0, "401: Unauthorized")

    def _take_rate_limit(self, call: Call) -> dict[str, str]:
        path = call.path.removeprefix("/api/v10")
        for prefix, (count, per) in self.limits.items():
            method, _, start = prefix.partition(" ")
            if call.method == method and path.startswith(start):
                key = f"{prefix}{call.parts[0]}"
                bucket = self._buckets.setdefault(key, Bucket(count, per))
                if not bucket.take():
                    self.rate_limited_count += 1
                    raise ApiError(429, 0, f"{max(0.01, bucket.since + per - time.monotonic()):.3f}")
                return bucket.headers(prefix)
        return {}

    def _record(self, call: Call, status: int, answer: Any) -> None:
        self.world.transcript.append(
            {
                "at": time.time(),
                "request": f"{call.method} {call.path}",
                "body": call.body,
                "files": {name: [filename, len(data)] for name, (filename, data) in call.files.items()},
                "status": status,
                "answer": answer,
            }
        )
        self.world.notify_change()


def _rate_limited_response(headers: dict[str, str], retry_after: float) -> tuple[int, JSON, dict[str, str]]:
    body = {"message": "You are being rate limited.", "retry_after": retry_after, "global": False}
    return 429, body, {**headers, "Via": "1.1 google", "Retry-After": str(retry_after)}


def _response(status: int, body: Any, headers: dict[str, str]) -> web.Response:
    """Build a response. Its Content-Type must be exactly application/json, as the client compares it."""
    if isinstance(body, str):
        return web.Response(status=status, text=body, content_type="text/html", headers=headers)
    data = b"" if body is None else json.dumps(body).encode()
    all_headers = headers if body is None else {**headers, "Content-Type": "application/json"}
    return web.Response(status=status, body=data, headers=all_headers)


@asynccontextmanager
async def discord_server(*, ack_deadline: float = ACK_DEADLINE) -> AsyncIterator[DiscordServer]:
    server = DiscordServer(ack_deadline=ack_deadline)
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*HOSTS).configure_cert(context)
    server.authority = authority.cert_pem.bytes().decode()
    app = web.Application(client_max_size=64 * MIB)
    app.router.add_route("*", "/{path:.*}", server.handle_request)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context, backlog=1024)
        await site.start()
        server.port = runner.addresses[0][1]
        yield server
    finally:
        await server.gateway.close()
        await runner.cleanup()
        await asyncio.sleep(0)


def save_authority(server: DiscordServer, folder: Path) -> Path:
    """Write the certificate authority to a file, for a bot in a separate process."""
    path = folder / "authority.pem"
    path.write_text(server.authority)
    return path
