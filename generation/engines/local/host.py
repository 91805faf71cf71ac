"""The child's side of the protocol: takes orders, renders them and reports the results."""

from __future__ import annotations

import asyncio
import importlib
import os
import threading
import traceback
from typing import TYPE_CHECKING, Any

from generation.engines.local import process_group, protocol
from generation.errors import ExplainedError, PictureFailed
from generation.failpoint import FailPoint, pass_failpoint
from generation.models.common.memory_plan import Resources
from generation.order import Order
from generation.rendering.render import RenderContext, render

if TYPE_CHECKING:
    from generation.progress import Progress


class ParentPipe:
    """The pipes to the parent, moved away from stdin and stdout because libraries may print."""

    def __init__(self) -> None:
        self._in, self._out = os.dup(0), os.dup(1)
        devnull = os.open(os.devnull, os.O_RDONLY)
        os.dup2(devnull, 0)
        os.dup2(2, 1)
        os.close(devnull)
        self._lock = threading.Lock()

    def send(self, name: str, payload: Any) -> None:
        data = memoryview(protocol.encode(name, payload))
        with self._lock:
            while data:
                data = data[os.write(self._out, data) :]

    def read_messages(self, loop: asyncio.AbstractEventLoop, queue: asyncio.Queue[tuple[str, Any]]) -> None:
        """Runs in its own thread, so that the parent's end is noticed even if the loop is blocked."""
        with os.fdopen(self._in, "rb") as lines:
            for line in lines:
                message = protocol.decode(line)
                if message is not None:
                    loop.call_soon_threadsafe(queue.put_nowait, message)
        exit_now()


def exit_now() -> None:
    """Exit at once and kill every ffmpeg: the parent is gone or needs no results."""
    process_group.kill_session(os.getsid(0), except_pid=os.getpid())
    os._exit(0)


class Host:
    def __init__(self, parent: ParentPipe) -> None:
        self._parent = parent
        self._renders: dict[str, asyncio.Task[None]] = {}

    async def serve(self) -> None:
        loop = asyncio.get_running_loop()
        inbox: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        threading.Thread(target=self._parent.read_messages, args=(loop, inbox), daemon=True).start()
        name, payload = await inbox.get()
        assert name == "setup"
        setup = protocol.EngineSetup.from_json(payload)
        context = self._build_context(setup)
        if context is None:
            return
        self._parent.send("ready", {"pid": os.getpid(), "ffmpeg": context.ffmpeg.path})
        heartbeat = asyncio.create_task(self._send_heartbeats(setup.heartbeat_seconds))
        while (message := await inbox.get())[0] != "close":
            self._handle_message(*message, context)
        heartbeat.cancel()
        for task in self._renders.values():
            task.cancel()
        await asyncio.gather(heartbeat, *self._renders.values(), return_exceptions=True)
        context.close()

    def _build_context(self, setup: protocol.EngineSetup) -> RenderContext | None:
        os.nice(setup.nice)
        os.environ["HF_HUB_OFFLINE"] = "1"  # `matinee models pull` downloads weights, a render never does
        for library in (
            "DIFFUSERS",
            "TRANSFORMERS",
        ):  # their warnings quote prompts, and stderr goes to the log
            os.environ.setdefault(f"{library}_VERBOSITY", "error")
        resources = Resources.from_json(setup.memory)
        if resources.cache_folder:
            os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", resources.cache_folder)
        try:
            for plugin in setup.plugins:
                importlib.import_module(plugin)
            return RenderContext(
                ffmpeg=setup.ffmpeg,
                maker_options=setup.maker_options,
                provenance=setup.provenance,
                resources=resources,
            )
        except ExplainedError as error:
            self._parent.send("startup_error", error.to_json())
            return None

    async def _send_heartbeats(self, interval: float) -> None:
        while True:
            self._parent.send("heartbeat", None)
            await asyncio.sleep(interval)

    def _handle_message(self, name: str, payload: Any, context: RenderContext) -> None:
        if name == "order":
            order = Order.from_json(payload)
            task = asyncio.create_task(self._render(order, context))
            self._renders[order.label] = task
            task.add_done_callback(lambda task: self._on_render_done(order.label, task))
        elif name == "cancel" and payload in self._renders:
            self._renders[payload].cancel()

    def _on_render_done(self, label: str, task: asyncio.Task[None]) -> None:
        del self._renders[label]
        if task.cancelled():  # perhaps before it started
            self._parent.send("cancelled", label)

    async def _render(self, order: Order, context: RenderContext) -> None:
        def report_progress(progress: Progress) -> None:
            self._parent.send("progress", [order.label, progress.stage.value, progress.done, progress.total])

        try:
            clip = await render(order, context, report_progress)
            pass_failpoint(FailPoint.FINISHED)
        except ExplainedError as error:
            self._send_failure(order, error, error)
        except Exception as error:  # noqa: BLE001  (a model may raise anything; the child keeps running)
            self._send_failure(order, PictureFailed(order.preset.name, type(error).__name__), error)
        else:
            self._parent.send("done", [order.label, clip.to_json()])
        finally:
            if context.models.needs_restart:
                self._parent.send("needs_restart", None)

    def _send_failure(self, order: Order, error: ExplainedError, cause: BaseException) -> None:
        detail = "".join(traceback.format_exception(cause))
        self._parent.send("failed", [order.label, error.to_json(), detail[-20_000:]])
