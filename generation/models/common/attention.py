"""Find the fastest exact attention backend of a GPU, measured once, when a model is loaded."""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import cache
from typing import Any

log = logging.getLogger(__name__)
EXACT_BACKENDS = ("native", "_native_cudnn")
"""They all accept masks and compute exact attention; other backends round or reject masks."""
BENCHMARK_SHAPE = (1, 4096, 16, 64)
BENCHMARK_ROUNDS = 5


@cache
def fastest_backend(device: str, dtype: str) -> str:
    """The name of the fastest exact backend; without CUDA there is only one."""
    if device != "cuda":
        return EXACT_BACKENDS[0]
    seconds = {}
    for name in EXACT_BACKENDS:
        with suppress(RuntimeError, ValueError, ImportError, NotImplementedError):
            seconds[name] = time_backend(name, device, dtype)
    best = min(seconds, key=lambda name: seconds[name], default=EXACT_BACKENDS[0])
    log.info("using the %s attention backend", best)
    return best


def set_backend(net: Any, name: str) -> None:
    """Select a backend for this network; the first of `EXACT_BACKENDS` is the default."""
    if name != EXACT_BACKENDS[0] and hasattr(net, "set_attention_backend"):
        net.set_attention_backend(name)


def time_backend(name: str, device: str, dtype: str) -> float:
    """The shortest time in seconds that one attention call takes."""
    import time  # noqa: PLC0415  (only needed on a GPU)

    import torch  # noqa: PLC0415  (heavy)
    from diffusers.models.attention_dispatch import dispatch_attention_fn  # noqa: PLC0415  (heavy)

    query = torch.randn(BENCHMARK_SHAPE, device=device, dtype=getattr(torch, dtype))
    best = float("inf")
    for _ in range(BENCHMARK_ROUNDS):
        start = time.perf_counter()
        dispatch_attention_fn(query, query, query, backend=name)
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return best
