"""One life of the engine's child, from its hello to its end, with the orders that are in its hands."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from generation.clip import Clip
from generation.engines.local import process_group, protocol
from generation.errors import EngineDied, EngineStuck, Told
from generation.order import Order
from generation.progress import OnProgress, Progress, Stage

log = logging.getLogger(__name__)
STDERR = 1
"""Which of a life's tasks reads what the child says to the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long the engine waits for what, in seconds."""

    start: float = 120.0  # for the child's hello
    beats: int = 3  # heartbeats that may be missing
    stall: float = 300.0  # without any progress of a render
    load: float = 1800.0  # the same while weights come from the disk
    total: float = 3600.0  # for one render, from its first progress
    cancel: float = 10.0  # for a cancelled render to stop by itself, before the child is ended
    close: float = 5.0  # for the child to leave by itself
    words: float = 2.0  # for the end of what a dead child said
    rubbish: int = 20  # lines that are none of ours
    pauses: tuple[float, ...] = (0.0, 1.0, 2.0, 5.0, 15.0, 30.0)  # before each restart without a clip between


@dataclass(slots=True)
class Ticket:
    """An order in the child's hands."""

    order: Order
    on_progress: OnProgress
    result: asyncio.Future[Clip]
    touched: float = field(default_factory=time.monotonic)
    began: float | None = None
    loading: bool = False
    scoring: bool = False
    encoding: bool = False  # by an ffmpeg of its own, so a dead child is hardly its doing

    def resolve(self, outcome: Clip | BaseException) -> None:
        if self.result.done():
            return
        if isinstance(outcome, BaseException):
            self.result.set_exception(outcome)
            self.result.exception()  # looked at: the caller may have been cancelled long ago
        else:
            self.result.set_result(outcome)


class Life:
    def __init__(self, command: Sequence[str], setup: protocol.Setup, patience: Patience) -> None:
        self._command, self._setup, self._patience = command, setup, patience
        self._process: asyncio.subprocess.Process | None = None
        self._tickets: dict[str, Ticket] = {}
        self._brush = ""  # the label of who took it last: one paints at a time
        self._tasks: list[asyncio.Task[None]] = []
        self._hello: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._gone = asyncio.Event()
        self._stderr: deque[str] = deque(maxlen=60)
        self._heard = self._moved = time.monotonic()
        self._rubbish = 0
        self._ended = self._closing = False
        self.tired = False  # it wants to be replaced when it has nothing in its hands
        self._idle = asyncio.Event()
        self._idle.set()
        self._hearers: dict[str, Callable[[Any], None]] = {
            "hello": self._greet,
            "unfit": self._unfit,
            "beat": lambda _: None,
            "tired": self._tire,
            "progress": self._progress,
            "done": lambda facts: self._settle(facts[0], Clip.from_json(facts[1])),
            "failed": self._failed,
            "cancelled": lambda label: self._settle(label, EngineDied("was closed", guilty=False)),
        }

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def alive(self) -> bool:
        return self._process is not None and not self._ended

    @property
    def silent_for(self) -> float | None:
        """Seconds since its last sign of life; None before its hello and after its end."""
        return time.monotonic() - self._heard if self.alive and self._hello.done() else None

    async def begin(self) -> None:
        """Start the child and wait for its hello; raises GenerationError, the child being gone then."""
        pipe = asyncio.subprocess.PIPE
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=pipe,
                stdout=pipe,
                stderr=pipe,
                start_new_session=True,
                limit=protocol.LONGEST,
            )
        except OSError as error:
            self._ended = True
            self._gone.set()
            raise EngineDied(f"cannot start: {error}", guilty=False) from error
        work = (self._listen(), self._keep_stderr(), self._watch())
        self._tasks = [asyncio.create_task(each) for each in work]
        self._say("setup", self._setup.to_json())
        try:
            async with asyncio.timeout(self._patience.start):
                await asyncio.shield(self._hello)
        except TimeoutError:
            self._end("said no hello")
            raise EngineDied(self._why("said no hello"), guilty=False) from None
        except BaseException:
            self._end("not wanted any more")
            raise

    async def render(self, order: Order, on_progress: OnProgress) -> Clip:
        if self._ended:
            raise EngineDied("ended before the order", guilty=False)
        ticket = Ticket(order, on_progress, asyncio.get_running_loop().create_future())
        assert order.label not in self._tickets, "labels are unique while in flight"
        self._tickets[order.label] = ticket
        self._idle.clear()
        self._say("order", order.to_json())
        try:
            return await asyncio.shield(ticket.result)
        except asyncio.CancelledError:
            if not ticket.result.done():
                await asyncio.shield(asyncio.create_task(self._give_up(ticket)))
            raise

    async def close(self) -> None:
        """Every render in flight ends as cancelled or died; then nothing of the child is left."""
        self._closing = True
        if self.alive:
            self._say("close", None)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience.close):
                    await self._gone.wait()
        self._end("was closed", innocent=True)
        await self.gone()

    async def idle(self) -> None:
        """Until it has no order in its hands."""
        await self._idle.wait()

    async def gone(self) -> None:
        await self._gone.wait()
        if self._process is not None:
            await self._process.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _give_up(self, ticket: Ticket) -> None:
        """Ask it to stop; a child that does not heed is ended, at no fault of its other orders."""
        self._say("cancel", ticket.order.label)
        await asyncio.wait({ticket.result}, timeout=self._patience.cancel)
        if not ticket.result.done():
            self._end("would not cancel", innocent=True)

    def _say(self, name: str, facts: Any) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(OSError, RuntimeError):  # its end is noticed elsewhere
            self._process.stdin.write(protocol.encode(name, facts))

    async def _listen(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        while True:
            try:
                line = await self._process.stdout.readuntil()
            except asyncio.IncompleteReadError:
                break
            except (asyncio.LimitOverrunError, ValueError):
                self._end("said a line without end")
                break
            self._hear(line)
        await self._process.wait()
        await self._died()

    async def _died(self) -> None:
        """Its stderr says why, to the last line; what it started may hold that open, so it ends first."""
        assert self._process is not None
        if not self._ended:
            process_group.end(self._process.pid)
            await asyncio.wait({self._tasks[STDERR]}, timeout=self._patience.words)
        self._end(f"ended by itself with {self._process.returncode}")

    def _hear(self, line: bytes) -> None:
        message = protocol.decode(line)
        hear = self._hearers.get(message[0]) if message else None
        try:
            if message is None or hear is None:
                raise ValueError  # noqa: TRY301  (rubbish is counted in one place)
            hear(message[1])
        except (ValueError, TypeError, KeyError, LookupError):
            self._rubbish += 1
            log.warning("engine said something odd", extra={"line": line[:200]})
            if self._rubbish > self._patience.rubbish:
                self._end("said rubbish")
        else:
            self._heard = time.monotonic()

    async def _keep_stderr(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        rest = b""
        while chunk := await self._process.stderr.read(1 << 16):
            *lines, rest = (rest + chunk).split(b"\n")
            self._stderr.extend(line.decode(errors="replace")[:500] for line in lines)
            rest = rest[-500:]
        if rest:
            self._stderr.append(rest.decode(errors="replace"))

    async def _watch(self) -> None:
        """Missing beats, renders that do not move, and an end that nobody else noticed."""
        assert self._process is not None
        quiet = self._setup.beat_every * self._patience.beats
        pause = self._setup.beat_every / 4
        while not self._ended:
            due = time.monotonic() + pause
            await asyncio.sleep(pause)
            now = time.monotonic()
            if now - due > pause:
                self._forgive(now - due, now)
            if self._process.returncode is not None:
                await self._died()
            elif self._hello.done() and now - self._heard > quiet:
                self._end(f"gave no sign of life for {quiet:g} s")
            elif stuck := next((t for t in self._tickets.values() if self._is_stuck(t, now)), None):
                self._end("is stuck", stuck=stuck)

    def _forgive(self, late: float, now: float) -> None:
        """What this process slept through itself, with words unread, is no silence of the child."""
        self._heard = min(now, self._heard + late)
        for ticket in self._tickets.values():
            ticket.touched = min(now, ticket.touched + late)

    def _is_stuck(self, ticket: Ticket, now: float) -> bool:
        stall = self._patience.load if self._loading() else self._patience.stall
        if ticket.began is None:  # it waits its turn, but not behind nobody
            return now - max(ticket.touched, self._moved) > stall
        return now - ticket.touched > stall or now - ticket.began > self._patience.total

    def _loading(self) -> bool:
        return any(ticket.loading for ticket in self._tickets.values())

    def _progress(self, facts: Any) -> None:
        label, stage, done, total = facts
        progress = Progress(Stage(stage), int(done), int(total))
        ticket = self._tickets.get(label)
        if ticket is not None:
            if ticket.began is None and progress.stage in {Stage.LOADING, Stage.PAINTING}:
                self._brush = label
            self._moved = ticket.touched = time.monotonic()
            ticket.began = ticket.began or ticket.touched
            ticket.loading = progress.stage is Stage.LOADING
            if progress.stage is Stage.SCORING:
                ticket.scoring = progress.done < progress.total
            ticket.encoding = progress.stage in {Stage.ENCODING, Stage.FITTING}
            asyncio.get_running_loop().call_soon(
                ticket.on_progress, progress
            )  # its errors are not the child's

    def _failed(self, facts: Any) -> None:
        label, error, detail = facts
        told = Told.from_json(error)
        told.add_note(detail)
        self._settle(label, told)

    def _greet(self, _: Any) -> None:
        if not self._hello.done():
            self._hello.set_result(None)

    def _unfit(self, facts: Any) -> None:
        if not self._hello.done():
            self._hello.set_exception(Told.from_json(facts))

    def _settle(self, label: str, outcome: Clip | BaseException) -> None:
        self._moved = time.monotonic()
        ticket = self._tickets.pop(label, None)
        if ticket is not None:
            ticket.resolve(outcome)
        if not self._tickets:
            self._idle.set()

    def _tire(self, _: Any) -> None:
        self.tired = True

    def _end(self, why: str, *, stuck: Ticket | None = None, innocent: bool = False) -> None:
        """Kill the child and all that it started, and answer every order; the first reason stays."""
        if self._ended or self._process is None:
            return
        self._ended = True
        process_group.end(self._process.pid)
        if stuck is not None:
            stuck.resolve(EngineStuck(self._patience.stall))
        for label, ticket in self._tickets.items():
            guilty = self._at_work(label, ticket) and stuck is None and not innocent
            ticket.resolve(EngineDied(self._why(why), guilty=guilty))
        self._tickets.clear()
        self._idle.set()
        if not self._hello.done():
            self._hello.set_exception(EngineDied(self._why(why), guilty=False))
            self._hello.exception()
        log.log(logging.INFO if self._closing else logging.WARNING, "engine %s", self._why(why))
        self._gone.set()

    def _at_work(self, label: str, ticket: Ticket) -> bool:
        """What is painted, its music made too, is above suspicion once another has the brush."""
        begun = ticket.began is not None and not ticket.encoding
        return begun and (label == self._brush or ticket.scoring)

    def _why(self, why: str) -> str:
        return "\n".join([why, *self._stderr])
