"""Detect the device to compute on, and check that its memory was released."""

from __future__ import annotations

import gc
import itertools
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from generation.child_environment import child_environment
from generation.errors import UnknownChoice
from generation.models.common.memory_plan import ComputeDevice

CARDS_WITHOUT_BFLOAT16 = ("T4", "V100", "P100", "1080", "1080TI", "2060", "2070", "2080", "2080TI")
"""GPUs without bfloat16, by their usual names."""
ALLOWED_LEFTOVER_GB = 0.5
"""Gigabytes of an unloaded model's weights that may stay in memory, for example as another model's."""


def detect_device(device: str = "auto") -> ComputeDevice:
    import torch  # noqa: PLC0415  (heavy)

    if device in {"auto", "cuda"} and torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        return ComputeDevice(
            kind="cuda",
            name=properties.name,
            total=round(properties.total_memory / 1e9, 1),
            bfloat16=torch.cuda.is_bf16_supported(including_emulation=False),
        )
    if device in {"auto", "mps"} and torch.backends.mps.is_available():
        return ComputeDevice(
            kind="mps", name="Apple GPU", total=round(_system_memory_gb() * 0.7, 1), bfloat16=True
        )
    return ComputeDevice(total=round(_system_memory_gb() * 0.7, 1))


def detect_from_driver(device: str = "auto") -> ComputeDevice:
    """Like `detect_device`, from nvidia-smi instead of torch: quick, for callers that only report it."""
    tool = shutil.which("nvidia-smi") if device in {"auto", "cuda"} else None
    if tool is not None:
        query = [tool, "--query-gpu=name,memory.total,compute_cap", "--format=csv,noheader,nounits"]
        with suppress(OSError, subprocess.SubprocessError, ValueError):
            answer = subprocess.run(  # noqa: S603  (no shell)
                query, env=child_environment(), capture_output=True, text=True, timeout=10, check=True
            )
            name, mebibytes, capability = answer.stdout.splitlines()[0].rsplit(", ", 2)
            total = round(int(mebibytes) * 1.048576e-3, 1)
            return ComputeDevice(kind="cuda", name=name, total=total, bfloat16=float(capability) >= 8)
    return ComputeDevice(total=round(_system_memory_gb() * 0.7, 1))


def parse_device(text: str) -> ComputeDevice:
    """Describe a GPU that is not installed, like "24" or "T4:16"; raises UnknownChoice."""
    name, _, gigabytes = text.rpartition(":")
    try:
        total = float(gigabytes.lower().removesuffix("gb").strip())
    except ValueError:
        raise UnknownChoice("card", text, None, ("24", "T4:16")) from None
    lacks_bfloat16 = any(word in name.upper().split() for word in CARDS_WITHOUT_BFLOAT16)
    return ComputeDevice(kind="cuda", name=name or "a card", total=total, bfloat16=not lacks_bfloat16)


def _system_memory_gb() -> float:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9


class HeldMemory:
    """The memory of a model's weights. That of other models and of music makers does not count."""

    def __init__(self, modules: Iterable[object]) -> None:
        from torch.multiprocessing.reductions import StorageWeakRef  # noqa: PLC0415  (heavy)

        storages = (weight.untyped_storage() for weight in itertools.chain(*map(_weights_of, modules)))
        weak: Any = StorageWeakRef  # untyped in torch
        self._bytes: dict[Any, int] = {weak(storage): storage.nbytes() for storage in storages}

    @property
    def released(self) -> bool:
        """Whether at most `ALLOWED_LEFTOVER_GB` of it is still allocated."""
        left = sum(size for storage, size in self._bytes.items() if not storage.expired())
        return left / 1e9 <= ALLOWED_LEFTOVER_GB


def release_unused_memory() -> None:
    """Collect garbage, and return the memory that the allocator keeps to the GPU."""
    import torch  # noqa: PLC0415  (heavy)

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _weights_of(module: object) -> Iterator[Any]:
    import torch  # noqa: PLC0415  (heavy)

    if isinstance(module, torch.nn.Module):
        for weight in itertools.chain(module.parameters(), module.buffers()):
            yield from _plain_tensors(weight)


def _plain_tensors(weight: Any) -> Iterator[Any]:
    """The tensors that hold the values; quantized weights consist of several."""
    flatten = getattr(weight, "__tensor_flatten__", None)
    if flatten is not None:
        for name in flatten()[0]:
            yield from _plain_tensors(getattr(weight, name))
    else:
        yield weight
