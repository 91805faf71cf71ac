"""Cache a text encoder's output for each prompt, so that a reroll does not run it again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

MAX_PROMPTS = 32
MAX_BYTES = 2_000_000_000
"""Of main memory. A prompt of LTX-2 with its negative prompt takes 0.8 GB, of most families under 0.01 GB."""


@dataclass(frozen=True, slots=True)
class _HostTensor:
    """A tensor in main memory, and the device that it came from."""

    values: Any
    device: Any


class PromptCache:
    """Wraps a pipeline's `encode_prompt`; calls with tensor arguments are not cached.

    Results are kept in main memory: the memory planner knows nothing of them.
    """

    def __init__(
        self,
        encode: Callable[..., Any],
        max_prompts: int = MAX_PROMPTS,
        max_bytes: int = MAX_BYTES,
        *,
        encode_context: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """`encode_context` is entered whenever a prompt is encoded."""
        self._encode, self._max_prompts, self._encode_context = encode, max_prompts, encode_context
        self._max_bytes = max_bytes
        self._encoded: OrderedDict[str, Any] = OrderedDict()

    def __call__(self, *args: Any, **more: Any) -> Any:
        import torch  # noqa: PLC0415  (heavy)

        if any(isinstance(value, torch.Tensor) for value in (*args, *more.values())):
            return self._encode(*args, **more)
        key = repr((args, sorted(more.items())))
        if key in self._encoded:
            self._encoded.move_to_end(key)
            return _restore(self._encoded[key])
        with self._encode_context():
            result = self._encode(*args, **more)
        self._encoded[key] = _keep(result)
        while len(self._encoded) > 1 and (
            len(self._encoded) > self._max_prompts or self.kept_bytes() > self._max_bytes
        ):
            self._encoded.popitem(last=False)
        return result

    def kept_bytes(self) -> int:
        """Bytes of all kept results."""
        return sum(map(_size, self._encoded.values()))


def _keep(result: Any) -> Any:
    """A result of `encode_prompt` with every tensor in main memory."""
    import torch  # noqa: PLC0415  (heavy)

    if isinstance(result, torch.Tensor):
        return _HostTensor(result.detach().cpu(), result.device)
    if isinstance(result, tuple | list):
        return type(result)(map(_keep, result))
    return {name: _keep(value) for name, value in result.items()} if isinstance(result, dict) else result


def _restore(kept: Any) -> Any:
    if isinstance(kept, _HostTensor):
        return kept.values.to(kept.device)
    if isinstance(kept, tuple | list):
        return type(kept)(map(_restore, kept))
    return {name: _restore(value) for name, value in kept.items()} if isinstance(kept, dict) else kept


def _size(kept: Any) -> int:
    if isinstance(kept, _HostTensor):
        return int(kept.values.nbytes)
    if isinstance(kept, tuple | list):
        return sum(map(_size, kept))
    return sum(map(_size, kept.values())) if isinstance(kept, dict) else 0
