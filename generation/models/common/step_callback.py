"""Report steps through a pipeline's progress bar: every pipeline has one, not all have step callbacks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from generation.progress import OnStep


class StepReporter:
    def __init__(self, on_step: OnStep, total: int) -> None:
        self._on_step, self._total, self._done = on_step, total, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def update(self, steps: int = 1) -> None:
        self._done += steps
        self._on_step(min(self._done, self._total), self._total)


@contextmanager
def report_steps(pipe: Any, on_step: OnStep) -> Iterator[None]:
    """Within this block each step is reported; raising from `on_step` stops the pipeline."""

    def bar(iterable: object = None, total: int | None = None) -> StepReporter:
        assert iterable is None
        return StepReporter(on_step, total or 1)

    own = vars(pipe).get("progress_bar")
    pipe.progress_bar = bar
    try:
        yield
    finally:
        if own is None:
            del pipe.progress_bar
        else:
            pipe.progress_bar = own
