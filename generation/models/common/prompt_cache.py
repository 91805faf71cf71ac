"""Cache a text encoder's output for each prompt, so that a reroll does not run it again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

MAX_PROMPTS = 32


class PromptCache:
    """Wraps a pipeline's `encode_prompt`; calls with tensor arguments are not cached."""

    def __init__(
        self,
        encode: Callable[..., Any],
        max_prompts: int = MAX_PROMPTS,
        *,
        encode_context: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """`encode_context` is entered whenever a prompt is encoded."""
        self._encode, self._max_prompts, self._encode_context = encode, max_prompts, encode_context
        self._encoded: OrderedDict[str, Any] = OrderedDict()

    def __call__(self, *args: Any, **more: Any) -> Any:
        import torch  # noqa: PLC0415  (heavy)

        if any(isinstance(value, torch.Tensor) for value in (*args, *more.values())):
            return self._encode(*args, **more)
        key = repr((args, sorted(more.items())))
        if key not in self._encoded:
            with self._encode_context():
                self._encoded[key] = self._encode(*args, **more)
            while len(self._encoded) > self._max_prompts:
                self._encoded.popitem(last=False)
        self._encoded.move_to_end(key)
        return self._encoded[key]
