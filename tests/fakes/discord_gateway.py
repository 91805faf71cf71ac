"""The gateway of the loopback Discord: sessions, heartbeats, resume, and both stream compressions."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from typing import Protocol

import zstandard
from aiohttp import WSCloseCode, WSMsgType, web

from tests.fakes.discord_connector import RESUME_HOST
from tests.fakes.discord_world import JSON, Guild, World, snowflake

DISPATCH, HEARTBEAT, IDENTIFY, PRESENCE, RESUME, RECONNECT = 0, 1, 2, 3, 6, 7
INVALID_SESSION, HELLO, ACK = 9, 10, 11


class Compressor(Protocol):
    def compress(self, data: bytes) -> bytes: ...


class ZlibCompressor:
    def __init__(self) -> None:
        self._stream = zlib.compressobj()

    def compress(self, data: bytes) -> bytes:
        return self._stream.compress(data) + self._stream.flush(zlib.Z_SYNC_FLUSH)


class ZstdCompressor:
    def __init__(self) -> None:
        self._stream = zstandard.ZstdCompressor().compressobj()

    def compress(self, data: bytes) -> bytes:
        return self._stream.compress(data) + self._stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)


COMPRESSORS: dict[str, type[Compressor]] = {"zlib-stream": ZlibCompressor, "zstd-stream": ZstdCompressor}


@dataclass(eq=False)
class Connection:
    """One WebSocket."""

    socket: web.WebSocketResponse
    compression: str
    compressor: Compressor

    async def send(self, op: int, data: object, *, seq: int | None = None, event: str | None = None) -> None:
        packet = json.dumps({"op": op, "d": data, "s": seq, "t": event}).encode()
        if not self.socket.closed:
            await self.socket.send_bytes(self.compressor.compress(packet))


@dataclass(eq=False)
class Session:
    """Outlives a WebSocket: keeps the numbered events, so that a resume can send the missed ones."""

    shard: tuple[int, int]
    connection: Connection | None
    id: str = field(default_factory=lambda: f"session-{snowflake()}")
    events: list[tuple[str, object]] = field(default_factory=list)

    async def dispatch(self, event: str, data: object) -> None:
        self.events.append((event, data))
        if self.connection is not None:
            await self.connection.send(DISPATCH, data, seq=len(self.events), event=event)

    async def replay(self, seen: int) -> None:
        assert self.connection is not None
        for number, (event, data) in enumerate(self.events[seen:], start=seen + 1):
            await self.connection.send(DISPATCH, data, seq=number, event=event)


@dataclass(eq=False)
class Gateway:
    world: World
    token: str
    sessions: list[Session] = field(default_factory=list)
    compressions: list[str] = field(default_factory=list)  # requested by each connection
    identifies: int = 0
    resumes: int = 0
    resume_hosts: list[str] = field(default_factory=list)  # the host that each resume came to
    rejects_resume: bool = False  # answers a resume with op 9

    @property
    def connected_sessions(self) -> list[Session]:
        return [session for session in self.sessions if session.connection is not None]

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        asked = request.query.get("compress", "")
        if (
            asked not in COMPRESSORS
            or request.query.get("encoding") != "json"
            or request.query.get("v") != "10"
        ):
            self.world.violations.append(f"gateway requested with {request.query_string}")
            raise web.HTTPBadRequest
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.compressions.append(asked)
        connection = Connection(socket, asked, COMPRESSORS[asked]())
        await connection.send(HELLO, {"heartbeat_interval": 41250, "_trace": []})
        session: Session | None = None
        try:
            async for message in socket:
                if message.type == WSMsgType.TEXT:
                    session = await self._handle_packet(
                        connection, json.loads(message.data), session, request.host
                    )
        finally:
            if session is not None and session.connection is connection:
                session.connection = None
            self.world.notify_change()
        return socket

    async def _handle_packet(
        self, connection: Connection, packet: JSON, session: Session | None, host: str
    ) -> Session | None:
        match packet["op"]:
            case 1:
                await connection.send(ACK, None)
            case 2:
                return await self._identify(connection, packet["d"])
            case 6:
                return await self._resume(connection, packet["d"], host)
            case 3:
                self._presence(packet["d"])
            case other:
                self.world.violations.append(f"gateway received op {other}")
        return session

    def _presence(self, data: JSON) -> None:
        for activity in data["activities"]:
            if len(activity.get("state") or activity["name"]) > 128:
                self.world.violations.append("presence longer than 128")
        self.world.presence = data
        self.world.notify_change()

    async def _identify(self, connection: Connection, data: JSON) -> Session | None:
        if data["token"] != self.token:
            await connection.socket.close(code=4004, message=b"Authentication failed.")
            return None
        if data.get("presence"):
            self.world.presence = data["presence"]
        self.identifies += 1
        number, count = data.get("shard", (0, 1))
        session = Session((number, count), connection)
        self.sessions.append(session)
        guilds = [
            guild for guild in self.world.guilds.values() if guild.has_bot and _shard_serves(session, guild)
        ]
        await session.dispatch("READY", self._ready(session, guilds))
        for guild in guilds:
            await session.dispatch("GUILD_CREATE", guild.payload())
        self.world.notify_change()
        return session

    def _ready(self, session: Session, guilds: list[Guild]) -> JSON:
        return {
            "v": 10,
            "user": self.world.bot.payload(),
            "guilds": [{"id": guild.id, "unavailable": True} for guild in guilds],
            "session_id": session.id,
            "session_type": "normal",
            "resume_gateway_url": f"wss://{RESUME_HOST}",
            "shard": list(session.shard),
            "application": {"id": self.world.bot.id, "flags": 0},
            "private_channels": [],
            "relationships": [],
        }

    async def _resume(self, connection: Connection, data: JSON, host: str) -> Session | None:
        self.resumes += 1
        self.resume_hosts.append(host)
        session = next((s for s in self.sessions if s.id == data["session_id"]), None)
        if session is None or self.rejects_resume or data["token"] != self.token:
            await connection.send(INVALID_SESSION, data=False)
            return None
        session.connection = connection
        await session.replay(data["seq"])
        await session.dispatch("RESUMED", {"_trace": []})
        self.world.notify_change()
        return session

    async def dispatch(self, event: str, data: JSON, guild: Guild | None = None) -> None:
        """Send an event to each session of its shard; a disconnected session keeps it for its resume."""
        for session in self.sessions:
            if (guild is None and session.shard[0] == 0) or (
                guild is not None and _shard_serves(session, guild)
            ):
                await session.dispatch(event, data)

    async def close_all(self, code: int) -> None:
        for session in self.connected_sessions:
            assert session.connection is not None
            await session.connection.socket.close(code=code)

    async def send_all(self, op: int, data: object = None) -> None:
        for session in self.connected_sessions:
            assert session.connection is not None
            await session.connection.send(op, data)

    async def close(self) -> None:
        for session in self.connected_sessions:
            assert session.connection is not None
            await session.connection.socket.close(code=WSCloseCode.GOING_AWAY)


def _shard_serves(session: Session, guild: Guild) -> bool:
    number, count = session.shard
    return (int(guild.id) >> 22) % count == number
