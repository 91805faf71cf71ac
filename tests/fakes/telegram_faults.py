"""Scripted faults: the next calls of a method receive them in order."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict, deque
from dataclasses import dataclass, field

from aiohttp import web


@dataclass(frozen=True)
class Fault:
    """One fault. `performed`: the server acts on the call anyway. `status` None: it sends no answer."""

    status: int | None = None
    body: str = ""
    content_type: str = "application/json"
    performed: bool = False
    resets_connection: bool = False


def api_error(status: int, description: str, **parameters: int) -> Fault:
    body = {"ok": False, "error_code": status, "description": description}
    return Fault(status, json.dumps(body | ({"parameters": parameters} if parameters else {})))


def flood_error(seconds: int) -> Fault:
    return api_error(429, f"Too Many Requests: retry after {seconds}", retry_after=seconds)


def html_error(status: int, *, performed: bool = False) -> Fault:
    """An HTML error page, as a proxy sends, instead of the API's JSON."""
    return Fault(status, f"<html><h1>{status}</h1><hr>nginx</html>", "text/html", performed=performed)


def no_answer(*, performed: bool) -> Fault:
    """The answer never comes."""
    return Fault(performed=performed)


def connection_reset(*, performed: bool) -> Fault:
    """The connection is reset instead of answered."""
    return Fault(performed=performed, resets_connection=True)


@dataclass
class FaultQueue:
    pending: dict[str, deque[Fault]] = field(default_factory=lambda: defaultdict(deque))

    def add(self, method: str, *faults: Fault) -> None:
        self.pending[method].extend(faults)

    def next(self, method: str) -> Fault | None:
        return self.pending[method].popleft() if self.pending[method] else None


async def respond_with_fault(
    fault: Fault, request: web.Request, closing: asyncio.Event
) -> web.StreamResponse:
    if fault.status is not None:
        return web.Response(status=fault.status, text=fault.body, content_type=fault.content_type)
    if not fault.resets_connection:
        await closing.wait()
    if request.transport is not None:
        request.transport.abort()
    raise web.HTTPServiceUnavailable
