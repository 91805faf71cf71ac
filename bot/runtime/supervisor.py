"""What `matinee run` keeps alive, and how each part of it is doing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import structlog

from bot.i18n import messages
from bot.maintenance.heartbeat import HealthCheck, HealthState
from bot.maintenance.monitor import Monitor
from bot.maintenance.retention import RetentionSweeper
from bot.pipeline.delivery import Delivery, Frontend
from bot.pipeline.worker import Worker
from generation.errors import GenerationError

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds after which something counts as amiss."""

    engine: float = 10.0  # without a sign of life: two of its beats
    service: float = 30.0  # since the worker or the delivery last looked round
    chat: float = 60.0  # since its platform was last within reach
    poll: float = 1.0  # between two looks at the engine
    restart_delays: tuple[float, ...] = (1.0, 5.0, 15.0, 60.0)  # before a chat that died is started again


class RestartableEngine(Protocol):
    """An engine that can be looked at, and opened again when it died."""

    @property
    def silent_for(self) -> float | None: ...

    async def open(self) -> None: ...


class SupervisedApp(Protocol):
    """What is kept alive."""

    @property
    def engine(self) -> RestartableEngine: ...
    @property
    def worker(self) -> Worker: ...
    @property
    def delivery(self) -> Delivery: ...
    @property
    def sweeper(self) -> RetentionSweeper: ...
    @property
    def frontends(self) -> Mapping[str, Frontend]: ...

    def create_frontend(self, name: str) -> None: ...


@runtime_checkable
class ReportsConnection(Protocol):
    """A chat that knows whether its platform answers just now."""

    def is_connected(self) -> bool: ...


@dataclass(slots=True)
class ChatHealth:
    """How one of them is doing."""

    state: HealthState = HealthState.HEALTHY
    reason: str = ""
    last_connected_at: float = field(default_factory=lambda: asyncio.get_running_loop().time())


class Supervisor:
    def __init__(self, app: SupervisedApp, monitor: Monitor, timeouts: Timeouts | None = None) -> None:
        self._app, self._monitor = app, monitor
        self._timeouts = timeouts or Timeouts()
        self._chats: dict[str, ChatHealth] = {}
        self._engine_error = ""
        self._stopping = False

    def begin_shutdown(self) -> None:
        self._stopping = True
        self._monitor.begin_shutdown()

    async def serve(self, *extra: Coroutine[Any, Any, None]) -> None:
        """Until cancelled, or until every chat has ended by itself."""
        app, checks = self._app, self._monitor.checks
        checks["engine"] = self._check_engine
        async with asyncio.TaskGroup() as group:
            services: dict[str, Worker | Delivery] = {"worker": app.worker, "delivery": app.delivery}
            tasks = {name: group.create_task(room.run(), name=name) for name, room in services.items()}
            for name, room in services.items():
                checks[name] = self._service_check(room, tasks[name])
            others = (app.sweeper.run(), self._reopen_engine(), self._monitor.run(), *extra)
            background = [*tasks.values(), *(group.create_task(other) for other in others)]
            for name in app.frontends:
                self._chats[name] = ChatHealth()
                checks[name] = self._chat_check(name)
            await asyncio.wait([group.create_task(self._keep_running(name)) for name in app.frontends])
            for task in background:
                task.cancel()

    async def _keep_running(self, name: str) -> None:
        """Serve one chat, anew after every surprise; returns when it ends by itself, refused for example."""
        health, tries = self._chats[name], 0
        while True:
            running = asyncio.create_task(self._app.frontends[name].run(), name=name)
            try:
                await asyncio.wait([running])
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
            error = asyncio.CancelledError() if running.cancelled() else running.exception()
            health.state, health.reason = (
                HealthState.DEAD,
                type(error).__name__ if error else "it ended by itself",
            )
            if error is None:
                return
            delay = _delay_before_try(self._timeouts.restart_delays, tries)
            log.error("a chat died", chat=name, again_in=delay, exc_info=error)
            await asyncio.sleep(delay)
            tries += 1
            self._app.create_frontend(name)
            health.state, health.last_connected_at = HealthState.HEALTHY, asyncio.get_running_loop().time()

    async def _reopen_engine(self) -> None:
        """Bring the engine back when it died, also while nobody asks for anything."""
        while True:
            await asyncio.sleep(self._timeouts.poll)
            if self._app.engine.silent_for is not None or self._stopping:
                continue
            try:
                await self._app.engine.open()
            except GenerationError as error:
                self._engine_error = messages.explain(error)
                log.warning("the engine does not start", reason=str(error))
            else:
                self._engine_error = ""

    def _check_engine(self) -> HealthCheck:
        silent = self._app.engine.silent_for
        if silent is None:
            return HealthCheck(HealthState.DEAD, self._engine_error or "its process has ended")
        if silent > self._timeouts.engine:
            return HealthCheck(HealthState.STUCK, "no sign of life from its process")
        return HealthCheck()

    def _service_check(
        self, service: Worker | Delivery, task: asyncio.Task[None]
    ) -> Callable[[], HealthCheck]:
        began = asyncio.get_running_loop().time()

        def check() -> HealthCheck:
            if task.done():
                return HealthCheck() if self._stopping else HealthCheck(HealthState.DEAD, "it has ended")
            silent = asyncio.get_running_loop().time() - (service.last_idle_at or began)
            stuck = silent > self._timeouts.service and not self._stopping
            return HealthCheck(HealthState.STUCK, "it does not look at the queue") if stuck else HealthCheck()

        return check

    def _chat_check(self, name: str) -> Callable[[], HealthCheck]:
        def check() -> HealthCheck:
            state, now = self._chats[name], asyncio.get_running_loop().time()
            chat = self._app.frontends[name]
            if not isinstance(chat, ReportsConnection) or chat.is_connected():
                state.last_connected_at = now
            if state.state is HealthState.HEALTHY and now - state.last_connected_at > self._timeouts.chat:
                return HealthCheck(HealthState.UNREACHABLE, "its servers are out of reach")
            return HealthCheck(state.state, state.reason)

        return check


def _delay_before_try(delays: Sequence[float], number: int) -> float:
    return delays[min(number, len(delays) - 1)]
