"""Choose how attention is computed: exact, as fast as the GPU allows, without effects on other models."""

from __future__ import annotations

import logging
from contextlib import ExitStack, suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from generation.errors import ModelBroken

if TYPE_CHECKING:
    from generation.models.common.memory_plan import MemoryPlan
    from generation.models.common.preset import Preset

log = logging.getLogger(__name__)
DEFAULT_BACKEND = "native"
"""Attention of torch, which chooses among exact kernels by itself."""
SWITCHING_PREFIX = "_native_"
"""Backends that switch torch's kernels on and off in the whole process at each call."""
BENCHMARK_SHAPE = (1, 16, 4096, 64)
BENCHMARK_ROUNDS = 5


def set_attention(net: Any, preset: Preset, plan: MemoryPlan) -> None:
    """Use the preset's attention backend for this network only; without one, torch's fastest kernel."""
    wanted = preset.options.get("attention", DEFAULT_BACKEND)
    if wanted.startswith(SWITCHING_PREFIX):
        raise ModelBroken(preset.name, f"attention {wanted!r} would disturb music, which is made meanwhile")
    if plan.device == "cuda":
        prefer_fastest_kernels(plan.dtype)
    if wanted == DEFAULT_BACKEND or not hasattr(net, "set_attention_backend"):
        return
    from diffusers.models.attention_dispatch import attention_backend  # noqa: PLC0415  (heavy)

    with attention_backend(DEFAULT_BACKEND):  # setting it for one network also sets it for the process
        net.set_attention_backend(wanted)


@cache
def prefer_fastest_kernels(dtype: str) -> bool:
    """Let torch try cuDNN first if that is faster on this GPU; measured once, for the whole process.

    Returns whether it is. Called while a model is loaded, when nothing else computes.
    """
    seconds = time_attention("cuda", dtype)
    preference = ExitStack()
    preference.enter_context(_kernels_with_cudnn_first())
    with suppress(RuntimeError):  # cuDNN has no kernel for this GPU
        if time_attention("cuda", dtype) < seconds:
            log.info("using attention kernels of cuDNN")
            _kept_preferences.append(preference)
            return True
    preference.close()
    return False


_kept_preferences: list[ExitStack] = []


def _kernels_with_cudnn_first() -> Any:
    from torch.nn.attention import SDPBackend, sdpa_kernel  # noqa: PLC0415  (heavy)

    order = [
        SDPBackend.CUDNN_ATTENTION,
        SDPBackend.FLASH_ATTENTION,
        SDPBackend.EFFICIENT_ATTENTION,
        SDPBackend.MATH,
    ]
    return sdpa_kernel(order, set_priority=True)


def time_attention(device: str, dtype: str, shape: tuple[int, ...] = BENCHMARK_SHAPE) -> float:
    """The shortest time in seconds that one attention call takes."""
    import time  # noqa: PLC0415  (only needed on a GPU)

    import torch  # noqa: PLC0415  (heavy)

    query = torch.randn(shape, device=device, dtype=getattr(torch, dtype))
    best = float("inf")
    for _ in range(BENCHMARK_ROUNDS):
        start = time.perf_counter()
        torch.nn.functional.scaled_dot_product_attention(query, query, query)
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return best
