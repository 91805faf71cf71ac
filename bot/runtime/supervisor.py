"""The run loop: starts every part of the bot, restarts what dies, and reports how each part is doing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import structlog

from bot.domain.frontend import Frontend
from bot.i18n import messages
from bot.maintenance.heartbeat import HealthCheck, HealthState
from bot.maintenance.monitor import Monitor
from bot.maintenance.retention import RetentionSweeper
from bot.pipeline.delivery import Delivery
from bot.pipeline.worker import Worker
from generation.engines.engine import Engine
from generation.errors import GenerationError

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds after which a part counts as unhealthy, and the delays between restarts."""

    engine: float = 10.0  # without a sign of life: two of its heartbeats
    service: float = 30.0  # since the worker or the delivery last waited for work
    chat: float = 60.0  # since the platform last answered
    poll: float = 1.0  # between two looks at the engine
    restart_delays: tuple[float, ...] = (1.0, 5.0, 15.0, 60.0)  # before a frontend that died is restarted


class SupervisedApp(Protocol):
    """The parts that the supervisor runs."""

    @property
    def engine(self) -> Engine: ...
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
    """A frontend that knows whether its platform answers at the moment."""

    def is_connected(self) -> bool: ...


@dataclass(slots=True)
class FrontendHealth:
    state: HealthState = HealthState.HEALTHY
    reason: str = ""
    last_connected_at: float = field(default_factory=lambda: asyncio.get_running_loop().time())


class Supervisor:
    """Runs one app.

    With `restarts`, a frontend or an engine that dies is started again; without it, the first error ends
    the run. A monitor, if there is one, gets a health check for each part.
    """

    def __init__(
        self,
        app: SupervisedApp,
        monitor: Monitor | None = None,
        timeouts: Timeouts | None = None,
        *,
        restarts: bool = True,
    ) -> None:
        self._app, self._monitor = app, monitor
        self._timeouts = timeouts or Timeouts()
        self._restarts = restarts
        self._frontend_health: dict[str, FrontendHealth] = {}
        self._engine_error = ""
        self._stopping = False

    def begin_shutdown(self) -> None:
        """A part that ends from now on ends on purpose."""
        self._stopping = True
        if self._monitor is not None:
            self._monitor.begin_shutdown()

    async def serve(self, *extra: Coroutine[Any, Any, None]) -> None:
        """Run the app and `extra` until cancelled, or until every frontend has ended.

        An error in the worker, the delivery or a background task ends everything.
        """
        app = self._app
        async with asyncio.TaskGroup() as group:
            services: dict[str, Worker | Delivery] = {"worker": app.worker, "delivery": app.delivery}
            service_tasks = {
                name: group.create_task(service.run(), name=name) for name, service in services.items()
            }
            background = [app.sweeper.run(), *extra]
            if self._restarts:
                background.append(self._reopen_engine())
            if self._monitor is not None:
                self._add_checks(self._monitor, services, service_tasks)
                background.append(self._monitor.run())
            tasks = [*service_tasks.values(), *(group.create_task(other) for other in background)]
            self._frontend_health.update({name: FrontendHealth() for name in app.frontends})
            run_frontend = self._keep_running if self._restarts else self._run_once
            await asyncio.wait([group.create_task(run_frontend(name)) for name in app.frontends])
            for task in tasks:
                task.cancel()

    def _add_checks(
        self,
        monitor: Monitor,
        services: Mapping[str, Worker | Delivery],
        tasks: Mapping[str, asyncio.Task[None]],
    ) -> None:
        monitor.checks["engine"] = self._check_engine
        for name, service in services.items():
            monitor.checks[name] = self._service_check(service, tasks[name])
        for name in self._app.frontends:
            monitor.checks[name] = self._frontend_check(name)

    async def _run_once(self, name: str) -> None:
        await self._app.frontends[name].run()

    async def _keep_running(self, name: str) -> None:
        """Run a frontend, and restart it after every error; return when it ends without one."""
        health, tries = self._frontend_health[name], 0
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
            log.error("frontend died", frontend=name, retry_in=delay, exc_info=error)
            await asyncio.sleep(delay)
            tries += 1
            self._app.create_frontend(name)
            health.state, health.last_connected_at = HealthState.HEALTHY, asyncio.get_running_loop().time()

    async def _reopen_engine(self) -> None:
        """Open an engine that died, also while no job waits for it."""
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

    def _frontend_check(self, name: str) -> Callable[[], HealthCheck]:
        def check() -> HealthCheck:
            health, now = self._frontend_health[name], asyncio.get_running_loop().time()
            frontend = self._app.frontends[name]
            if not isinstance(frontend, ReportsConnection) or frontend.is_connected():
                health.last_connected_at = now
            disconnected = now - health.last_connected_at > self._timeouts.chat
            if health.state is HealthState.HEALTHY and disconnected:
                return HealthCheck(HealthState.UNREACHABLE, "its servers are out of reach")
            return HealthCheck(health.state, health.reason)

        return check


def _delay_before_try(delays: Sequence[float], number: int) -> float:
    return delays[min(number, len(delays) - 1)]
