"""Run one target: feed inputs, notice what is unhandled, and make the input that shows it small."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from tests.fuzz.target import Call, Target, make_input, to_bytes, to_text

SPIKE_MEGABYTES = 256
"""An input that needs this much more memory than any before it is unhandled."""
MINIMISE_SECONDS = 10.0
MAX_SHOWN = 10
"""Different unhandled inputs of a target that are minimised and saved."""
_UNIT = 1024 if sys.platform != "darwin" else 1


class Hang(BaseException):
    """An input took too long. No `except Exception` catches it."""


@dataclass
class Unhandled:
    """An input without a clear answer: where it failed, the seed that makes it, and a small version of it."""

    target: str
    seed: str
    reason: str
    trace: str
    data: bytes


@dataclass
class Result:
    target: str
    inputs: int = 0
    unhandled: int = 0
    seconds: float = 0.0
    grown_megabytes: float = 0.0
    findings: list[Unhandled] = field(default_factory=list)


class ErrorRecorder(logging.Handler):
    """Collects what the code logs as an error, and what asyncio found unhandled: both reach no user."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.errors: list[tuple[str, str]] = []  # what happened, and its traceback

    def emit(self, record: logging.LogRecord) -> None:
        self._add(record.getMessage(), record.exc_info)

    def __call__(self, _logger: Any, method: str, event: MutableMapping[str, Any]) -> Any:
        """A processor of structlog. An error without a traceback is a sentence for the operator."""
        if method == "exception" or event.get("exc_info"):
            self._add(str(event.get("event")), event.get("exc_info") or sys.exception())
        raise structlog.DropEvent

    def on_loop_error(self, _loop: object, context: dict[str, Any]) -> None:
        self._add(str(context.get("message")), context.get("exception"))

    def take(self) -> list[tuple[str, str]]:
        found, self.errors = self.errors, []
        return found

    def _add(self, message: str, cause: Any) -> None:
        error = cause[1] if isinstance(cause, tuple) else cause
        if not isinstance(error, BaseException):
            error = sys.exception() if cause else None
        lines = traceback.format_exception(error) if error is not None else [message]
        self.errors.append((f"logged: {message}: {describe(error)}", "".join(lines)))


@contextmanager
def recording() -> Iterator[ErrorRecorder]:
    """Collect errors of structlog, logging and the running loop meanwhile."""
    recorder = ErrorRecorder()
    root, configured = logging.getLogger(), structlog.get_config()
    structlog.configure(processors=[recorder], cache_logger_on_first_use=False)
    root.addHandler(recorder)
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(recorder.on_loop_error)
    try:
        yield recorder
    finally:
        loop.set_exception_handler(before)
        root.removeHandler(recorder)
        structlog.configure(**configured)


def describe(error: BaseException | None) -> str:
    """The kind of an error and the last place in our own code, which tells findings apart."""
    if error is None:
        return "no error"
    frames = traceback.extract_tb(error.__traceback__)
    own = [one for one in frames if "/bot/" in one.filename or "/generation/" in one.filename]
    places = [f" in {Path(one.filename).name}:{one.lineno} {one.name}" for one in own or frames]
    return "".join((type(error).__name__, *places[-1:]))


class Runner:
    """`progress` is called with the number of each input before it is tried."""

    def __init__(
        self, target: Target, seed: str, *, progress: Callable[[int], None] = lambda _: None
    ) -> None:
        self._target = target
        self._seed = seed
        self._progress = progress
        self._seeds: Sequence[bytes] = target.seeds()
        self._seen: set[str] = set()
        self._result = Result(target.name)
        self._peak = _peak_megabytes()

    async def run(self, *, seconds: float, most: int | None = None) -> Result:
        settled: float | None = None
        started = time.monotonic()
        with recording() as self._recorder, alarm_handler():
            while not self._is_done(seconds, most):
                async with opened(self._target) as call:
                    self._peak = _peak_megabytes()
                    opened_at = time.monotonic()
                    if not self._result.inputs:
                        seconds = max(seconds - (opened_at - started), seconds / 4)
                    for _ in range(self._target.reopen_after):
                        spent = self._result.seconds + time.monotonic() - opened_at
                        if self._result.inputs and (spent >= seconds or self._result.inputs == most):
                            break
                        await self._try_next(call)
                        if settled is None and spent > seconds / 4:
                            settled = _current_megabytes()
                    self._result.seconds += time.monotonic() - opened_at
            self._check_growth(settled)
        return self._result

    def _is_done(self, seconds: float, most: int | None) -> bool:
        """A quarter of the time is for inputs, however long a target takes to open."""
        found = self._result
        return found.inputs > 0 and (found.seconds >= seconds or found.inputs == most)

    async def _try_next(self, call: Call) -> None:
        self._progress(self._result.inputs)
        seed = f"{self._seed}:{self._target.name}:{self._result.inputs}"
        self._result.inputs += 1
        data = make_input(self._target, self._seeds, seed)
        failure = await self._failure(call, data)
        if failure is None:
            return
        self._result.unhandled += 1
        reason, trace = failure
        if reason not in self._seen and len(self._seen) < MAX_SHOWN:
            self._seen.add(reason)
            small = await self._minimise(call, data, reason)
            self._result.findings.append(Unhandled(self._target.name, seed, reason, trace, small))

    async def _failure(self, call: Call, data: bytes) -> tuple[str, str] | None:
        """Why this input is unhandled, with a traceback; None if it got an answer."""
        self._recorder.take()
        limit = self._target.seconds
        signal.setitimer(signal.ITIMER_REAL, 2 * limit)
        try:
            async with asyncio.timeout(limit):
                outcome = call(data)
                if inspect.isawaitable(outcome):
                    await outcome
        except self._target.answers:
            pass
        except TimeoutError as error:
            return f"no answer within {limit:g} s: {describe(error)}", traceback.format_exc()
        except Hang as error:
            return f"busy for {2 * limit:g} s: {describe(error)}", traceback.format_exc()
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            return f"raised: {describe(error)}", traceback.format_exc()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        peak, before = _peak_megabytes(), self._peak
        self._peak = max(peak, before)
        if peak > before + SPIKE_MEGABYTES and self._result.inputs > 1:
            return f"needed {peak - before:.0f} MB of memory", ""
        errors = self._recorder.take()
        return errors[0] if errors else None

    def _check_growth(self, settled: float | None) -> None:
        gc.collect()
        if settled is None:
            return
        self._result.grown_megabytes = _current_megabytes() - settled
        if self._result.grown_megabytes > self._target.megabytes:
            self._result.unhandled += 1
            reason = f"the process grew by {self._result.grown_megabytes:.0f} MB"
            self._result.findings.append(Unhandled(self._target.name, self._seed, reason, "", b""))

    async def _minimise(self, call: Call, data: bytes, reason: str) -> bytes:
        """Remove parts of the input as long as it fails for the same reason."""
        until = time.monotonic() + MINIMISE_SECONDS
        is_text = self._target.shape != "bytes"
        best: Any = to_text(data) if is_text else data
        size = max(1, len(best) // 2)
        while size and time.monotonic() < until:
            at = 0
            while at < len(best) and time.monotonic() < until:
                shorter = best[:at] + best[at + size :]
                failure = await self._failure(call, to_bytes(shorter) if is_text else shorter)
                if failure is not None and failure[0] == reason:
                    best = shorter
                else:
                    at += size
            size //= 2
        return to_bytes(best) if is_text else best


@asynccontextmanager
async def opened(target: Target) -> AsyncIterator[Call]:
    """The target, open in an empty folder that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="matinee-fuzz-", ignore_cleanup_errors=True) as folder:
        async with target.open(Path(folder)) as call:
            yield call


@contextmanager
def alarm_handler() -> Iterator[None]:
    def on_alarm(_number: int, _frame: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, on_alarm)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT / 2**20


def _current_megabytes() -> float:
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except OSError:  # not on Linux
        return _peak_megabytes()
    return pages * resource.getpagesize() / 2**20
