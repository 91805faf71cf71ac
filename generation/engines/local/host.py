"""The child's side of the wire: takes orders, renders them, and says how each went."""

from __future__ import annotations

import asyncio
import importlib
import os
import threading
import traceback
from typing import TYPE_CHECKING, Any

from generation.engines.local import process_group, protocol
from generation.errors import PaintFailed, Told
from generation.failpoint import Place, here
from generation.models.common.memory_plan import Means
from generation.rendering.render import Kit, Order, render

if TYPE_CHECKING:
    from generation.progress import Progress


class Line:
    """The wire's two ends in the child, kept away from libraries that print."""

    def __init__(self) -> None:
        self._in, self._out = os.dup(0), os.dup(1)
        nowhere = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nowhere, 0)
        os.dup2(2, 1)
        os.close(nowhere)
        self._lock = threading.Lock()

    def say(self, name: str, facts: Any) -> None:
        data = memoryview(protocol.encode(name, facts))
        with self._lock:
            while data:
                data = data[os.write(self._out, data) :]

    def listen(self, loop: asyncio.AbstractEventLoop, queue: asyncio.Queue[tuple[str, Any]]) -> None:
        """Runs in a thread of its own, so that a parent's end is noticed whatever the loop is doing."""
        with os.fdopen(self._in, "rb") as lines:
            for line in lines:
                message = protocol.decode(line)
                if message is not None:
                    loop.call_soon_threadsafe(queue.put_nowait, message)
        leave()


def leave() -> None:
    """At once, and with every ffmpeg: nobody is there any more for whom to finish."""
    process_group.end(os.getsid(0), spare=os.getpid())
    os._exit(0)


class Host:
    def __init__(self, line: Line) -> None:
        self._line = line
        self._renders: dict[str, asyncio.Task[None]] = {}

    async def serve(self) -> None:
        loop = asyncio.get_running_loop()
        inbox: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        threading.Thread(target=self._line.listen, args=(loop, inbox), daemon=True).start()
        name, facts = await inbox.get()
        assert name == "setup"
        setup = protocol.Setup.from_json(facts)
        kit = self._kit(setup)
        if kit is None:
            return
        self._line.say("hello", {"pid": os.getpid(), "ffmpeg": kit.ffmpeg.path})
        beats = asyncio.create_task(self._beat(setup.beat_every))
        while (message := await inbox.get())[0] != "close":
            self._heed(*message, kit)
        beats.cancel()
        for task in self._renders.values():
            task.cancel()
        await asyncio.gather(beats, *self._renders.values(), return_exceptions=True)
        kit.close()

    def _kit(self, setup: protocol.Setup) -> Kit | None:
        os.nice(setup.nice)
        os.environ["HF_HUB_OFFLINE"] = "1"  # weights are brought by `matinee models pull`, never by a render
        means = Means.from_json(setup.memory)
        if means.cache_folder:
            os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", means.cache_folder)
        try:
            for plugin in setup.plugins:
                importlib.import_module(plugin)
            return Kit(
                ffmpeg=setup.ffmpeg,
                options=setup.scores,
                provenance=setup.provenance,
                means=means,
            )
        except Told as error:
            self._line.say("unfit", error.to_json())
            return None

    async def _beat(self, every: float) -> None:
        while True:
            self._line.say("beat", None)
            await asyncio.sleep(every)

    def _heed(self, name: str, facts: Any, kit: Kit) -> None:
        if name == "order":
            order = Order.from_json(facts)
            task = asyncio.create_task(self._render(order, kit))
            self._renders[order.label] = task
            task.add_done_callback(lambda task: self._over(order.label, task))
        elif name == "cancel" and facts in self._renders:
            self._renders[facts].cancel()

    def _over(self, label: str, task: asyncio.Task[None]) -> None:
        del self._renders[label]
        if task.cancelled():  # perhaps before it ever ran
            self._line.say("cancelled", label)

    async def _render(self, order: Order, kit: Kit) -> None:
        def tell(progress: Progress) -> None:
            self._line.say("progress", [order.label, progress.stage.value, progress.done, progress.total])

        try:
            clip = await render(order, kit, tell)
            here(Place.FINISHED)
        except Told as error:
            self._fail(order, error, error)
        except Exception as error:  # noqa: BLE001  (a model may raise anything; the child goes on)
            self._fail(order, PaintFailed(order.preset.name, type(error).__name__), error)
        else:
            self._line.say("done", [order.label, clip.to_json()])
        finally:
            if kit.models.tired:
                self._line.say("tired", None)

    def _fail(self, order: Order, told: Told, cause: BaseException) -> None:
        detail = "".join(traceback.format_exception(cause))
        self._line.say("failed", [order.label, told.to_json(), detail[-20_000:]])
