"""Puts a loaded pipeline where its plan says, and switches on what the preset asks for."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from generation.models.common import attention, lossy
from generation.models.common.memory_plan import Keep

if TYPE_CHECKING:
    from generation.models.common.memory_plan import Plan
    from generation.models.common.preset import Preset

log = logging.getLogger(__name__)
HALVES = {"bfloat16", "float16"}


def place(pipe: Any, preset: Preset, plan: Plan) -> None:
    pipe.set_progress_bar_config(disable=True)
    lossy.shrink(painter(pipe), preset, plan)
    if plan.tiling:
        _tile(pipe)
    if plan.device == "cuda" and plan.dtype in HALVES:
        _channels_last(pipe)
    match plan.keep:
        case Keep.OFFLOAD:
            pipe.enable_model_cpu_offload(device=plan.device)
        case Keep.GROUP:
            _group(pipe, plan)
        case Keep.LEAN:
            _lean(pipe, plan)
        case _:
            pipe.to(plan.device)
    tune(pipe, preset, plan)


def painter(pipe: Any) -> Any:
    """The network that does the steps, whatever a pipeline calls it."""
    return getattr(pipe, "transformer", None) or pipe.unet


@contextmanager
def stepping_aside(pipe: Any, device: str) -> Iterator[None]:
    """While words are read, whoever reads them has the card, and the painter waits beside it."""
    painter(pipe).to("cpu")
    try:
        yield
    finally:
        for reader in pipe.readers:
            reader.offload()
        painter(pipe).to(device)


def _lean(pipe: Any, plan: Plan) -> None:
    from accelerate import cpu_offload_with_hook  # noqa: PLC0415  (heavy)

    pipe.readers = []
    for name, part in _parts(pipe).items():
        if name.startswith("text_encoder"):
            pipe.readers.append(cpu_offload_with_hook(part, plan.device)[1])
        else:
            part.to(plan.device)


def tune(pipe: Any, preset: Preset, plan: Plan) -> None:
    net = painter(pipe)
    attention.use(net, preset.options.get("attention") or attention.fastest(plan.device, plan.dtype))
    lossy.skip(net, preset, plan)
    if plan.compile:
        _compile(net, preset)


def _compile(net: Any, preset: Preset) -> None:
    """The blocks that repeat, once for all of them; kept on disk between runs by the compiler's own cache."""
    if not getattr(net, "_repeated_blocks", None):
        log.info("%s has no repeated blocks to compile", preset.name)
        return
    net.compile_repeated_blocks(fullgraph=True)


def _parts(pipe: Any) -> dict[str, Any]:
    import torch  # noqa: PLC0415  (heavy)

    return {name: part for name, part in pipe.components.items() if isinstance(part, torch.nn.Module)}


def _channels_last(pipe: Any) -> None:
    """Where it pays: flat convolutions in half precision, which a card's matrix units take in that order."""
    import torch  # noqa: PLC0415  (heavy)

    for part in (getattr(pipe, "unet", None), getattr(pipe, "vae", None)):
        for weight in part.parameters() if part is not None else ():
            if weight.ndim == 4:
                weight.data = weight.data.contiguous(memory_format=torch.channels_last)


def _tile(pipe: Any) -> None:
    vae = getattr(pipe, "vae", None)
    for name in ("enable_tiling", "enable_slicing"):
        switch = getattr(vae, name, None)
        if switch is not None:
            switch()


def _group(pipe: Any, plan: Plan) -> None:
    import torch  # noqa: PLC0415  (heavy)

    pipe.enable_group_offload(
        onload_device=torch.device(plan.device),
        offload_device=torch.device("cpu"),
        offload_type="leaf_level",
        use_stream=plan.device == "cuda",
    )
