"""What `matinee run` keeps alive, and how each part of it is doing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import structlog

from bot.i18n import messages
from bot.maintenance.heartbeat import Life, Look
from bot.maintenance.monitor import Monitor
from bot.maintenance.retention import Sweeper
from bot.pipeline.delivery import Delivery, Frontend
from bot.pipeline.worker import Worker
from generation.errors import GenerationError

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds after which something counts as amiss."""

    engine: float = 10.0  # without a sign of life: two of its beats
    room: float = 30.0  # since the worker or the delivery last looked round
    chat: float = 60.0  # since its platform was last within reach
    look: float = 1.0  # between two looks at the engine
    pauses: tuple[float, ...] = (1.0, 5.0, 15.0, 60.0)  # before a chat that died is started again


class Revivable(Protocol):
    """An engine that can be looked at, and opened again when it died."""

    @property
    def silent_for(self) -> float | None: ...

    async def open(self) -> None: ...


class House(Protocol):
    """What is kept alive."""

    @property
    def engine(self) -> Revivable: ...
    @property
    def worker(self) -> Worker: ...
    @property
    def delivery(self) -> Delivery: ...
    @property
    def sweeper(self) -> Sweeper: ...
    @property
    def frontends(self) -> Mapping[str, Frontend]: ...

    def make_chat(self, name: str) -> None: ...


@runtime_checkable
class Reaching(Protocol):
    """A chat that knows whether its platform answers just now."""

    def reached(self) -> bool: ...


@dataclass(slots=True)
class Chat:
    """How one of them is doing."""

    life: Life = Life.WELL
    why: str = ""
    reached_at: float = field(default_factory=lambda: asyncio.get_running_loop().time())


class Supervisor:
    def __init__(self, app: House, monitor: Monitor, patience: Patience | None = None) -> None:
        self._app, self._monitor = app, monitor
        self._patience = patience or Patience()
        self._chats: dict[str, Chat] = {}
        self._why_no_engine = ""
        self._stopping = False

    def stopping(self) -> None:
        self._stopping = True
        self._monitor.stopping()

    async def serve(self, *more: Coroutine[Any, Any, None]) -> None:
        """Until cancelled, or until every chat has ended by itself."""
        app, looks = self._app, self._monitor.looks
        looks["engine"] = self._look_at_engine
        async with asyncio.TaskGroup() as group:
            rooms: dict[str, Worker | Delivery] = {"worker": app.worker, "delivery": app.delivery}
            tasks = {name: group.create_task(room.run(), name=name) for name, room in rooms.items()}
            for name, room in rooms.items():
                looks[name] = self._room_look(room, tasks[name])
            others = (app.sweeper.run(), self._revive(), self._monitor.run(), *more)
            background = [*tasks.values(), *(group.create_task(other) for other in others)]
            for name in app.frontends:
                self._chats[name] = Chat()
                looks[name] = self._chat_look(name)
            await asyncio.wait([group.create_task(self._keep(name)) for name in app.frontends])
            for task in background:
                task.cancel()

    async def _keep(self, name: str) -> None:
        """Serve one chat, anew after every surprise; returns when it ends by itself, refused for example."""
        state, tries = self._chats[name], 0
        while True:
            ended = asyncio.create_task(self._app.frontends[name].run(), name=name)
            try:
                await asyncio.wait([ended])
            finally:
                ended.cancel()
                await asyncio.gather(ended, return_exceptions=True)
            error = asyncio.CancelledError() if ended.cancelled() else ended.exception()
            state.life, state.why = Life.DEAD, type(error).__name__ if error else "it ended by itself"
            if error is None:
                return
            pause = _nth(self._patience.pauses, tries)
            log.error("a chat died", chat=name, again_in=pause, exc_info=error)
            await asyncio.sleep(pause)
            tries += 1
            self._app.make_chat(name)
            state.life, state.reached_at = Life.WELL, asyncio.get_running_loop().time()

    async def _revive(self) -> None:
        """Bring the engine back when it died, also while nobody asks for anything."""
        while True:
            await asyncio.sleep(self._patience.look)
            if self._app.engine.silent_for is not None or self._stopping:
                continue
            try:
                await self._app.engine.open()
            except GenerationError as error:
                self._why_no_engine = messages.explain(error)
                log.warning("the engine does not start", reason=str(error))
            else:
                self._why_no_engine = ""

    def _look_at_engine(self) -> Look:
        silent = self._app.engine.silent_for
        if silent is None:
            return Look(Life.DEAD, self._why_no_engine or "its process has ended")
        if silent > self._patience.engine:
            return Look(Life.STUCK, "no sign of life from its process")
        return Look()

    def _room_look(self, room: Worker | Delivery, task: asyncio.Task[None]) -> Callable[[], Look]:
        began = asyncio.get_running_loop().time()

        def look() -> Look:
            if task.done():
                return Look() if self._stopping else Look(Life.DEAD, "it has ended")
            silent = asyncio.get_running_loop().time() - (room.looked_at or began)
            stuck = silent > self._patience.room and not self._stopping
            return Look(Life.STUCK, "it does not look at the queue") if stuck else Look()

        return look

    def _chat_look(self, name: str) -> Callable[[], Look]:
        def look() -> Look:
            state, now = self._chats[name], asyncio.get_running_loop().time()
            chat = self._app.frontends[name]
            if not isinstance(chat, Reaching) or chat.reached():
                state.reached_at = now
            if state.life is Life.WELL and now - state.reached_at > self._patience.chat:
                return Look(Life.LOST, "its servers are out of reach")
            return Look(state.life, state.why)

        return look


def _nth(pauses: Sequence[float], number: int) -> float:
    return pauses[min(number, len(pauses) - 1)]
