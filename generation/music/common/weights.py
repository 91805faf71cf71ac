"""Find a music maker's weights on this machine, without using the network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from generation.errors import ModelBroken, ModelMissing

_PICKLED = {".bin", ".ckpt", ".pt", ".pth", ".pkl"}


def find_weights(options: dict[str, Any], default: str) -> Path:
    """The folder of the weights: a local one, or one that was pulled from the hub."""
    name, source = str(options.get("name", default)), str(options.get("source", ""))
    if Path(source).is_dir():
        found = Path(source)
    elif not source or source.startswith((".", "/", "~")):
        raise ModelMissing(name)
    else:
        found = _from_hub_cache(name, source, options.get("revision") or None)
    if not any(found.rglob("*.safetensors")):
        pickled = any(file.suffix in _PICKLED for file in found.rglob("*"))
        raise ModelBroken(
            name, "has only pickled weights, which can run code" if pickled else "has no weights"
        )
    return found


def _from_hub_cache(name: str, source: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download  # noqa: PLC0415  (heavy)
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError  # noqa: PLC0415  (heavy)

    try:
        return Path(snapshot_download(source, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, OSError) as error:
        raise ModelMissing(name) from error


def device_and_type(options: dict[str, Any], half: str = "float16") -> tuple[str, Any]:
    """Device and dtype from the options; by default the GPU, if there is one, in `half`, if it has that."""
    import torch  # noqa: PLC0415  (heavy)

    device = str(options.get("device", "auto"))
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = str(options.get("dtype", "auto"))
    if dtype == "auto":
        dtype = "float32" if device == "cpu" else half
        if dtype == "bfloat16" and device == "cuda" and not _has_bfloat16():
            dtype = "float16"
    return device, getattr(torch, dtype)


def _has_bfloat16() -> bool:
    import torch  # noqa: PLC0415  (heavy)

    return bool(torch.cuda.is_bf16_supported(including_emulation=False))
