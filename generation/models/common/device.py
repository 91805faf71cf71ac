"""The card as torch sees it, and whether its memory came back."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
from contextlib import suppress

from generation.errors import UnknownChoice
from generation.models.common.memory_plan import Card

OLD = ("T4", "V100", "P100", "1080", "1080TI", "2060", "2070", "2080", "2080TI")
"""Cards without bfloat16, by what people call them."""
LEFT = 0.5  # gigabytes that a library may keep for itself


def see(device: str = "auto") -> Card:
    import torch  # noqa: PLC0415  (heavy)

    if device in {"auto", "cuda"} and torch.cuda.is_available():
        facts = torch.cuda.get_device_properties(0)
        return Card(
            kind="cuda",
            name=facts.name,
            total=round(facts.total_memory / 1e9, 1),
            bfloat16=torch.cuda.is_bf16_supported(including_emulation=False),
        )
    if device in {"auto", "mps"} and torch.backends.mps.is_available():
        return Card(kind="mps", name="Apple GPU", total=round(_memory() * 0.7, 1), bfloat16=True)
    return Card(total=round(_memory() * 0.7, 1))


def guess(device: str = "auto") -> Card:
    """The same without torch, from the driver's own tool: quick, for who only wants to know."""
    tool = shutil.which("nvidia-smi") if device in {"auto", "cuda"} else None
    if tool is not None:
        query = [tool, "--query-gpu=name,memory.total,compute_cap", "--format=csv,noheader,nounits"]
        with suppress(OSError, subprocess.SubprocessError, ValueError):
            answer = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603  (no shell)
            name, mebibytes, capability = answer.stdout.splitlines()[0].rsplit(", ", 2)
            total = round(int(mebibytes) * 1.048576e-3, 1)
            return Card(kind="cuda", name=name, total=total, bfloat16=float(capability) >= 8)
    return Card(total=round(_memory() * 0.7, 1))


def card_of(text: str) -> Card:
    """A card that is not here, to see how it would do: "24", or "T4:16"; raises UnknownChoice."""
    name, _, gigabytes = text.rpartition(":")
    try:
        total = float(gigabytes.lower().removesuffix("gb").strip())
    except ValueError:
        raise UnknownChoice("card", text, None, ("24", "T4:16")) from None
    old = any(word in name.upper().split() for word in OLD)
    return Card(kind="cuda", name=name or "a card", total=total, bfloat16=not old)


def _memory() -> float:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9


def gave_back(device: str) -> bool:
    """Collect what is loose; False when more than a little is still allocated."""
    import torch  # noqa: PLC0415  (heavy)

    gc.collect()
    if device != "cuda":
        return True
    torch.cuda.empty_cache()
    return torch.cuda.memory_allocated() / 1e9 <= LEFT
