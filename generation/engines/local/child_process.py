"""One child process of the engine, from start to end, with the orders in flight."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from generation.child_environment import child_environment
from generation.clip import Clip
from generation.engines.local import process_group, protocol
from generation.errors import EngineDied, EngineStuck, ExplainedError
from generation.order import Order
from generation.progress import OnProgress, Progress, Stage

log = logging.getLogger(__name__)
STDERR_TASK = 1
"""Index of the task that reads the child's stderr."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long the engine waits, in seconds."""

    start: float = 120.0  # for the child to report that it is ready
    missed_heartbeats: int = 3  # heartbeats in a row
    stall: float = 300.0  # without progress of a render
    load: float = 1800.0  # without progress while weights are loaded
    total: float = 3600.0  # for one render, from its first progress
    cancel: float = 10.0  # for a cancelled render to stop, before the child is killed
    close: float = 5.0  # for the child to exit, before it is killed
    stderr: float = 2.0  # for the rest of the stderr of a dead child
    max_bad_lines: int = 20  # lines that are not valid messages
    restart_delays: tuple[float, ...] = (0.0, 1.0, 2.0, 5.0, 15.0, 30.0)
    """Before each restart in a row without a clip; the last one repeats."""


@dataclass(slots=True)
class InFlightOrder:
    """An order that the child has, and its state."""

    order: Order
    on_progress: OnProgress
    result: asyncio.Future[Clip]
    last_progress_at: float = field(default_factory=time.monotonic)
    started_at: float | None = None
    loading: bool = False
    composing: bool = False
    encoding: bool = False  # ffmpeg runs in its own process, so it is unlikely to kill the child

    def resolve(self, outcome: Clip | BaseException) -> None:
        if self.result.done():
            return
        if isinstance(outcome, BaseException):
            self.result.set_exception(outcome)
            self.result.exception()  # mark as retrieved: the caller may have been cancelled
        else:
            self.result.set_result(outcome)


class EngineProcess:
    def __init__(self, command: Sequence[str], setup: protocol.EngineSetup, timeouts: Timeouts) -> None:
        self._command, self._setup, self._timeouts = command, setup, timeouts
        self._process: asyncio.subprocess.Process | None = None
        self._in_flight: dict[str, InFlightOrder] = {}
        self._generating_label = ""  # the order that generated frames last; one does at a time
        self._tasks: list[asyncio.Task[None]] = []
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._exited = asyncio.Event()
        self._stderr: deque[str] = deque(maxlen=60)
        self._last_message_at = self._last_progress_at = time.monotonic()
        self._bad_lines = 0
        self._ended = self._closing = False
        self.needs_restart = False  # the child asked to be replaced once it is idle
        self._idle = asyncio.Event()
        self._idle.set()
        self._handlers: dict[str, Callable[[Any], None]] = {
            "ready": self._on_ready,
            "startup_error": self._on_startup_error,
            "heartbeat": lambda _: None,
            "needs_restart": self._on_needs_restart,
            "progress": self._on_progress,
            "done": lambda facts: self._resolve(facts[0], Clip.from_json(facts[1])),
            "failed": self._on_failed,
            "cancelled": lambda label: self._resolve(label, EngineDied("engine closed", guilty=False)),
        }

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def alive(self) -> bool:
        return self._process is not None and not self._ended

    @property
    def silent_for(self) -> float | None:
        """Seconds since its last message; None before it is ready and after its end."""
        return time.monotonic() - self._last_message_at if self.alive and self._ready.done() else None

    async def start(self) -> None:
        """Start the child and wait until it is ready. If it raises GenerationError, the child has ended."""
        pipe = asyncio.subprocess.PIPE
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=pipe,
                stdout=pipe,
                stderr=pipe,
                env=child_environment(),
                start_new_session=True,
                limit=protocol.MAX_LINE_BYTES,
            )
        except OSError as error:
            self._ended = True
            self._exited.set()
            raise EngineDied(f"cannot start: {error}", guilty=False) from error
        coroutines = (self._read_stdout(), self._read_stderr(), self._watchdog())
        self._tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
        self._send("setup", self._setup.to_json())
        try:
            async with asyncio.timeout(self._timeouts.start):
                await asyncio.shield(self._ready)
        except TimeoutError:
            self._kill("did not get ready in time")
            raise EngineDied(self._with_stderr("did not get ready in time"), guilty=False) from None
        except BaseException:
            self._kill("start cancelled")
            raise

    async def render(self, order: Order, on_progress: OnProgress) -> Clip:
        if self._ended:
            raise EngineDied("ended before the order was sent", guilty=False)
        in_flight = InFlightOrder(order, on_progress, asyncio.get_running_loop().create_future())
        assert order.label not in self._in_flight, "labels are unique while in flight"
        self._in_flight[order.label] = in_flight
        self._idle.clear()
        self._send("order", order.to_json())
        try:
            return await asyncio.shield(in_flight.result)
        except asyncio.CancelledError:
            if not in_flight.result.done():
                await asyncio.shield(asyncio.create_task(self._cancel(in_flight)))
            raise

    async def close(self) -> None:
        """End every render in flight and the child with all its processes."""
        self._closing = True
        if self.alive:
            self._send("close", None)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timeouts.close):
                    await self._exited.wait()
        self._kill("closed", blameless=True)
        await self.wait_until_exited()

    async def wait_until_idle(self) -> None:
        """Wait until no order is in flight."""
        await self._idle.wait()

    async def wait_until_exited(self) -> None:
        await self._exited.wait()
        if self._process is not None:
            await self._process.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _cancel(self, in_flight: InFlightOrder) -> None:
        """Ask the child to cancel the render. If it does not, kill it without blaming any order."""
        self._send("cancel", in_flight.order.label)
        await asyncio.wait({in_flight.result}, timeout=self._timeouts.cancel)
        if not in_flight.result.done():
            self._kill("did not cancel in time", blameless=True)

    def _send(self, name: str, payload: Any) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(OSError, RuntimeError):  # the reader notices that it has ended
            self._process.stdin.write(protocol.encode(name, payload))

    async def _read_stdout(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        while True:
            try:
                line = await self._process.stdout.readuntil()
            except asyncio.IncompleteReadError:
                break
            except (asyncio.LimitOverrunError, ValueError):
                self._kill("sent a line that is too long")
                break
            self._handle_line(line)
        await self._process.wait()
        await self._on_exit()

    async def _on_exit(self) -> None:
        """Read stderr to its end for the reason. Its descendants may hold stderr open, so kill them first."""
        assert self._process is not None
        if not self._ended:
            process_group.kill_session(self._process.pid)
            await asyncio.wait({self._tasks[STDERR_TASK]}, timeout=self._timeouts.stderr)
        self._kill(f"exited with {self._process.returncode}")

    def _handle_line(self, line: bytes) -> None:
        message = protocol.decode(line)
        handler = self._handlers.get(message[0]) if message else None
        try:
            if message is None or handler is None:
                raise ValueError  # noqa: TRY301  (invalid lines are counted in one place)
            handler(message[1])
        except (ValueError, TypeError, KeyError, LookupError):
            self._bad_lines += 1
            log.warning("invalid message from the engine process", extra={"line": line[:200]})
            if self._bad_lines > self._timeouts.max_bad_lines:
                self._kill("sent too many invalid messages")
        else:
            self._last_message_at = time.monotonic()

    async def _read_stderr(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        rest = b""
        while chunk := await self._process.stderr.read(1 << 16):
            *lines, rest = (rest + chunk).split(b"\n")
            self._stderr.extend(line.decode(errors="replace")[:500] for line in lines)
            rest = rest[-500:]
        if rest:
            self._stderr.append(rest.decode(errors="replace"))

    async def _watchdog(self) -> None:
        """Detect missing heartbeats, stuck renders and an unnoticed exit."""
        assert self._process is not None
        heartbeat_timeout = self._setup.heartbeat_seconds * self._timeouts.missed_heartbeats
        interval = self._setup.heartbeat_seconds / 4
        while not self._ended:
            due = time.monotonic() + interval
            await asyncio.sleep(interval)
            now = time.monotonic()
            if now - due > interval:
                self._discount_own_delay(now - due, now)
            if self._process.returncode is not None:
                await self._on_exit()
            elif self._ready.done() and now - self._last_message_at > heartbeat_timeout:
                self._kill(f"sent no heartbeat for {heartbeat_timeout:g} s")
            elif stuck := next(
                (order for order in self._in_flight.values() if self._is_stuck(order, now)), None
            ):
                self._kill("is stuck", stuck_order=stuck)

    def _discount_own_delay(self, late: float, now: float) -> None:
        """Time in which this process did not run, with messages unread, is no silence of the child."""
        self._last_message_at = min(now, self._last_message_at + late)
        for in_flight in self._in_flight.values():
            in_flight.last_progress_at = min(now, in_flight.last_progress_at + late)

    def _is_stuck(self, in_flight: InFlightOrder, now: float) -> bool:
        limit = self._timeouts.load if self._loading() else self._timeouts.stall
        if in_flight.started_at is None:  # it waits for another order, which must make progress
            return now - max(in_flight.last_progress_at, self._last_progress_at) > limit
        return now - in_flight.last_progress_at > limit or now - in_flight.started_at > self._timeouts.total

    def _loading(self) -> bool:
        return any(in_flight.loading for in_flight in self._in_flight.values())

    def _on_progress(self, payload: Any) -> None:
        label, stage, done, total = payload
        progress = Progress(Stage(stage), int(done), int(total))
        in_flight = self._in_flight.get(label)
        if in_flight is not None:
            if in_flight.started_at is None and progress.stage in {Stage.LOADING, Stage.GENERATING_FRAMES}:
                self._generating_label = label
            self._last_progress_at = in_flight.last_progress_at = time.monotonic()
            in_flight.started_at = in_flight.started_at or in_flight.last_progress_at
            in_flight.loading = progress.stage is Stage.LOADING
            if progress.stage is Stage.COMPOSING:
                in_flight.composing = progress.done < progress.total
            in_flight.encoding = progress.stage in {Stage.ENCODING, Stage.FITTING}
            # Not called directly: an error in the callback is not an invalid message of the child.
            asyncio.get_running_loop().call_soon(in_flight.on_progress, progress)

    def _on_failed(self, payload: Any) -> None:
        label, error, detail = payload
        failure = ExplainedError.from_json(error)
        failure.add_note(detail)
        self._resolve(label, failure)

    def _on_ready(self, _: Any) -> None:
        if not self._ready.done():
            self._ready.set_result(None)

    def _on_startup_error(self, payload: Any) -> None:
        if not self._ready.done():
            self._ready.set_exception(ExplainedError.from_json(payload))

    def _resolve(self, label: str, outcome: Clip | BaseException) -> None:
        self._last_progress_at = time.monotonic()
        in_flight = self._in_flight.pop(label, None)
        if in_flight is not None:
            in_flight.resolve(outcome)
        if not self._in_flight:
            self._idle.set()

    def _on_needs_restart(self, _: Any) -> None:
        self.needs_restart = True

    def _kill(
        self, reason: str, *, stuck_order: InFlightOrder | None = None, blameless: bool = False
    ) -> None:
        """Kill the child and its descendants and fail every order. Only the first reason counts."""
        if self._ended or self._process is None:
            return
        self._ended = True
        process_group.kill_session(self._process.pid)
        if stuck_order is not None:
            stuck_order.resolve(EngineStuck(self._timeouts.stall))
        for label, in_flight in self._in_flight.items():
            guilty = self._may_be_cause(label, in_flight) and stuck_order is None and not blameless
            in_flight.resolve(EngineDied(self._with_stderr(reason), guilty=guilty))
        self._in_flight.clear()
        self._idle.set()
        if not self._ready.done():
            self._ready.set_exception(EngineDied(self._with_stderr(reason), guilty=False))
            self._ready.exception()
        level = logging.INFO if self._closing else logging.WARNING
        log.log(level, "engine process ended: %s", self._with_stderr(reason))
        self._exited.set()

    def _may_be_cause(self, label: str, in_flight: InFlightOrder) -> bool:
        """Whether the order may have killed the child.

        It cannot if its frames and music are done and another order generates frames.
        """
        active = in_flight.started_at is not None and not in_flight.encoding
        return active and (label == self._generating_label or in_flight.composing)

    def _with_stderr(self, reason: str) -> str:
        return "\n".join([reason, *self._stderr])
