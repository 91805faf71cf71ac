"""Connects the real client to the loopback Discord, by a resolver and a certificate authority."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from bot.frontends.discord.client import MAX_CONNECTIONS

RESUME_HOST = "gateway-us-east1-b.discord.gg"
HOSTS = ("discord.com", "gateway.discord.gg", RESUME_HOST, "cdn.discordapp.com", "media.discordapp.net")


@dataclass
class LoopbackResolver(AbstractResolver):
    """Resolves Discord's host names to the fake, and no other name."""

    port: int

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002  (part of the base class signature)
    ) -> list[ResolveResult]:
        if host not in HOSTS or port != 443:
            raise OSError(f"{host}:{port} is not on the loopback")
        return [
            ResolveResult(
                hostname=host, host="127.0.0.1", port=self.port, family=socket.AF_INET, proto=0, flags=0
            )
        ]

    async def close(self) -> None:
        """Nothing to release."""


def connector(port: int, authority: str) -> aiohttp.TCPConnector:
    """Return a connector that reaches the fake; `authority` is its certificate authority as PEM."""
    context = ssl.create_default_context(cadata=authority)
    return aiohttp.TCPConnector(resolver=LoopbackResolver(port), ssl=context, limit=MAX_CONNECTIONS)
