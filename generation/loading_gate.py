"""While a model is loaded, no other thread loads or computes.

Loading changes state of the whole process: accelerate replaces `torch.nn.Module.register_parameter`, and
transformers changes torch's default dtype. Pictures and music are made in two threads, so without this gate
the one that loads breaks what the other loads or computes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from generation.progress import OnStep


class LoadingGate:
    """Lets either one thread load or any number of threads compute. Threads that wait to load go first."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._computing = 0
        self._waiting_to_load = 0
        self._loader: int | None = None  # the id of the thread that loads
        self._own = threading.local()

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Load alone. A thread that computes may load too; nested calls are allowed."""
        if self._loader == threading.get_ident():
            yield
            return
        computes = getattr(self._own, "computes", False)
        if computes:
            self._stop_computing()
        self._start_loading()
        try:
            yield
        finally:
            self._stop_loading()
            if computes:
                self._start_computing()

    @contextmanager
    def computing(self, on_step: OnStep) -> Iterator[OnStep]:
        """Compute; yields the function to call at each step. A thread that waits to load goes first there."""
        self._start_computing()
        self._own.computes = True

        def pause_at_step(done: int, total: int) -> None:
            on_step(done, total)
            if self._waiting_to_load:
                self._stop_computing()
                self._start_computing()

        try:
            yield pause_at_step
        finally:
            self._own.computes = False
            self._stop_computing()

    def _start_loading(self) -> None:
        with self._changed:
            self._waiting_to_load += 1
            try:
                self._changed.wait_for(lambda: self._loader is None and not self._computing)
                self._loader = threading.get_ident()
            finally:
                self._waiting_to_load -= 1

    def _stop_loading(self) -> None:
        with self._changed:
            self._loader = None
            self._changed.notify_all()

    def _start_computing(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._loader is None and not self._waiting_to_load)
            self._computing += 1

    def _stop_computing(self) -> None:
        with self._changed:
            self._computing -= 1
            self._changed.notify_all()


_GATE = LoadingGate()
"""One for the process, because what it guards is state of the process."""
loading = _GATE.loading
computing = _GATE.computing
