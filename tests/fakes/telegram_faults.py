"""What may go wrong on the way, by script: the next calls of a method meet these, in order."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict, deque
from dataclasses import dataclass, field

from aiohttp import web


@dataclass(frozen=True)
class Fault:
    """`done` says whether the server still does what it was asked; `status` None means no answer at all."""

    status: int | None = None
    body: str = ""
    kind: str = "application/json"
    done: bool = False
    reset: bool = False


def refused(status: int, description: str, **parameters: int) -> Fault:
    body = {"ok": False, "error_code": status, "description": description}
    return Fault(status, json.dumps(body | ({"parameters": parameters} if parameters else {})))


def flood(seconds: int) -> Fault:
    return refused(429, f"Too Many Requests: retry after {seconds}", retry_after=seconds)


def html(status: int, *, done: bool = False) -> Fault:
    """A proxy's own page instead of the API's JSON."""
    return Fault(status, f"<html><h1>{status}</h1><hr>nginx</html>", "text/html", done=done)


def silence(*, done: bool) -> Fault:
    """The answer never comes."""
    return Fault(done=done)


def reset(*, done: bool) -> Fault:
    """The connection breaks instead of an answer."""
    return Fault(done=done, reset=True)


@dataclass
class Script:
    waiting: dict[str, deque[Fault]] = field(default_factory=lambda: defaultdict(deque))

    def add(self, method: str, *faults: Fault) -> None:
        self.waiting[method].extend(faults)

    def next(self, method: str) -> Fault | None:
        return self.waiting[method].popleft() if self.waiting[method] else None


async def play(fault: Fault, request: web.Request, closing: asyncio.Event) -> web.StreamResponse:
    if fault.status is not None:
        return web.Response(status=fault.status, text=fault.body, content_type=fault.kind)
    if not fault.reset:
        await closing.wait()
    if request.transport is not None:
        request.transport.abort()
    raise web.HTTPServiceUnavailable
