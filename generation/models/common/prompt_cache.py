"""Remembers what a text encoder made of a prompt, so that a re-roll does not ask it again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

MOST = 32


class Remembering:
    """Stands before a pipeline's `encode_prompt`; calls that bring tensors of their own pass through."""

    def __init__(
        self,
        encode: Callable[..., Any],
        most: int = MOST,
        *,
        around: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """`around` is entered whenever words are really read."""
        self._encode, self._most, self._around = encode, most, around
        self._known: OrderedDict[str, Any] = OrderedDict()

    def __call__(self, *args: Any, **more: Any) -> Any:
        import torch  # noqa: PLC0415  (heavy)

        if any(isinstance(value, torch.Tensor) for value in (*args, *more.values())):
            return self._encode(*args, **more)
        key = repr((args, sorted(more.items())))
        if key not in self._known:
            with self._around():
                self._known[key] = self._encode(*args, **more)
            while len(self._known) > self._most:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return self._known[key]
