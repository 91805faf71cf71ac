"""Compile a denoiser's repeated blocks; what cannot be compiled runs uncompiled, and that is said once."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from generation.models.common import lossy

if TYPE_CHECKING:
    from generation.models.common.memory_plan import MemoryPlan
    from generation.models.common.preset import Preset

log = logging.getLogger(__name__)
INCOMPATIBLE = lossy.STEP_CACHES | {"fp8"}
"""Lossy options that replace a block's forward by code that the compiler refuses."""
COMPILERS = ("cc", "gcc", "clang")
RECOMPILE_LIMIT = 64
"""Variants of a block that may be compiled: sizes and lengths of clips, sound and prompts add up."""
CACHE_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"


def obstacle(preset: Preset, plan: MemoryPlan) -> str | None:
    """Why this preset cannot be compiled on this machine, as far as it is known without trying."""
    incompatible = [name for name in lossy.active_options(preset, plan) if name in INCOMPATIBLE]
    if incompatible:
        return f"{incompatible[0]} does not work with it"
    if "CC" not in os.environ and not any(map(shutil.which, COMPILERS)):
        return "it needs a C compiler, such as gcc"
    return None


def last_failure(preset: Preset, cache_folder: str | Path) -> str | None:
    """Why this preset ran uncompiled the last time that it was to be compiled, from the data folder."""
    with suppress(OSError, UnicodeDecodeError):
        return _failure_file(preset, cache_folder).read_text(encoding="utf-8").strip() or None
    return None


def compile_blocks(net: Any, preset: Preset, plan: MemoryPlan, **compile_arguments: Any) -> None:
    """Compile the repeated blocks once for all of them; the compiler's own cache on disk keeps the result."""
    import torch  # noqa: PLC0415  (heavy)

    _record_failure(preset, None)
    reason = obstacle(preset, plan)
    if reason is None and not getattr(net, "_repeated_blocks", None):
        reason = "it has no repeated blocks"
    if reason is not None:
        log.warning("%s is not compiled: %s", preset.name, reason)
        return
    config = torch._dynamo.config  # noqa: SLF001  (torch documents it under this name)
    config.recompile_limit = max(config.recompile_limit, RECOMPILE_LIMIT)
    net.compile_repeated_blocks(fullgraph=True, **compile_arguments)
    _fall_back_on_failure(net, preset)


def _fall_back_on_failure(net: Any, preset: Preset) -> None:
    """Let a block that cannot be compiled run uncompiled in the same step, and all blocks from then on."""
    compiled_blocks = [part for part in net.modules() if part._compiled_call_impl is not None]  # noqa: SLF001  (torch has no public name for it)

    def give_up(error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}".split("\n", 1)[0][:300]
        log.warning("%s now runs uncompiled: %s", preset.name, reason)
        _record_failure(preset, reason)
        for block in compiled_blocks:
            block._compiled_call_impl = None  # noqa: SLF001  (torch has no public name for it)

    for block in compiled_blocks:
        block._compiled_call_impl = _guarded_call(block, give_up)  # noqa: SLF001  (torch has no public name for it)


def _guarded_call(block: Any, give_up: Callable[[Exception], None]) -> Callable[..., Any]:
    compiled = block._compiled_call_impl  # noqa: SLF001  (torch has no public name for it)

    def call(*args: Any, **more: Any) -> Any:
        import torch  # noqa: PLC0415  (heavy)

        try:
            return compiled(*args, **more)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # noqa: BLE001  (compilers fail in many ways; a real error is raised again below)
            if block._compiled_call_impl is not None:  # noqa: SLF001  (torch has no public name for it)
                give_up(error)
        return block._call_impl(*args, **more)  # noqa: SLF001  (torch has no public name for it)

    return call


def _record_failure(preset: Preset, reason: str | None) -> None:
    """Keep the reason beside the compiler's cache, where `matinee doctor` reads it."""
    folder = os.environ.get(CACHE_VARIABLE)
    if not folder:
        return
    file = _failure_file(preset, folder)
    with suppress(OSError):
        if reason is None:
            file.unlink(missing_ok=True)
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(reason + "\n", encoding="utf-8")


def _failure_file(preset: Preset, folder: str | Path) -> Path:
    return Path(folder) / f"uncompiled-{preset.name}.txt"
