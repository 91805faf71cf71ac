"""`matinee doctor`: checks what Matinee needs. It loads nothing large and changes nothing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bot.cli.tables import Table
from bot.i18n import messages
from bot.runtime import config
from bot.runtime.settings import Settings
from generation.errors import AttachmentRefused, FfmpegMissing, ModelMissing, OutOfMemory
from generation.media import nsfw
from generation.media.ffmpeg import find
from generation.media.guarded_process import isolation_of_this_machine
from generation.media.sandbox import Isolation
from generation.models.common import compilation
from generation.models.common.device import detect_from_driver
from generation.models.common.memory_plan import ComputeDevice, Resources, possible_plans
from generation.models.common.preset import Preset
from generation.models.common.pull import is_downloaded

MODEL_PACKAGES = ("torch", "diffusers", "transformers")
ISOLATED = {
    "limits": "taking more memory and time",
    "network": "the network",
    "files": "other files",
    "processes": "other processes",
}
"""The parts of an Isolation in words."""
OTHER_PACKAGES = ("aiosqlite", "av", "ffmpeg-python")


class Verdict(StrEnum):
    GOOD = "ok"
    LEFT_OUT = "left out"
    BAD = "missing"


@dataclass(frozen=True, slots=True)
class CheckResult:
    what: str
    verdict: Verdict
    detail: str


def run_checks(settings: Settings, preset: Preset) -> list[CheckResult]:
    """Check this machine for the settings; `preset` is the default model's."""
    system = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    unavailable = settings.registry.unavailable(settings.frontends)
    return [
        CheckResult("python", Verdict.GOOD, system),
        _ffmpeg(settings.engine.ffmpeg),
        *map(_package, (*MODEL_PACKAGES, *settings.registry.packages, *OTHER_PACKAGES)),
        _graphics_card(),
        _data_folder(settings.studio.data, config.operator_policy(settings).min_free_disk),
        _model(preset, config.resources(settings)),
        *check_compilation(
            preset, config.resources(settings), detect_from_driver(config.resources(settings).device)
        ),
        _clip_inspection(settings.rules.after, config.clip_inspection(settings)),
        _opened_files(),
        *(
            CheckResult(
                name, Verdict.LEFT_OUT if reason else Verdict.GOOD, reason or "will start with `matinee run`"
            )
            for name, reason in unavailable.items()
        ),
    ]


def table(results: list[CheckResult]) -> Table:
    return Table(
        "Doctor",
        ("", "", ""),
        tuple((f.what, f.verdict, f.detail) for f in results),
        "",
        [{"what": f.what, "verdict": f.verdict, "detail": f.detail} for f in results],
    )


def _ffmpeg(configured: str) -> CheckResult:
    try:
        found = find(configured or None)
    except FfmpegMissing as error:
        return CheckResult("ffmpeg", Verdict.BAD, messages.explain(error))
    return CheckResult("ffmpeg", Verdict.GOOD, f"{found.version}, {found.origin}: {found.path}")


def _package(name: str) -> CheckResult:
    try:
        return CheckResult(name, Verdict.GOOD, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return CheckResult(name, Verdict.BAD, f"pip install {name}")


def _graphics_card() -> CheckResult:
    """Read from the driver's files, because importing torch takes seconds."""
    cards = sorted(Path("/proc/driver/nvidia/gpus").glob("*")) if platform.system() == "Linux" else []
    detail = f"{len(cards)} NVIDIA" if cards else f"none seen; {os.cpu_count()} CPU cores will do the work"
    return CheckResult("graphics card", Verdict.GOOD if cards else Verdict.LEFT_OUT, detail)


def check_compilation(preset: Preset, resources: Resources, card: ComputeDevice) -> list[CheckResult]:
    """Whether the default model is compiled on this card, if the operator asks for it."""
    plans = possible_plans(preset, card, resources) if preset.source else ()
    if not resources.compile or not plans:
        return []
    reason: str | None = "not on this device, or not with this memory plan"
    if plans[0].compile:
        reason = compilation.obstacle(preset, plans[0]) or compilation.last_failure(
            preset, resources.cache_folder
        )
    if reason:
        return [CheckResult("compile", Verdict.LEFT_OUT, f"{preset.name} runs uncompiled: {reason}")]
    return [CheckResult("compile", Verdict.GOOD, f"{preset.name} is compiled when it is first used")]


def _model(preset: Preset, resources: Resources) -> CheckResult:
    """Whether the weights are downloaded, and which memory plan would be used."""
    if not is_downloaded(preset):
        return CheckResult("model", Verdict.BAD, messages.explain(ModelMissing(preset.name)))
    if not preset.source:
        return CheckResult("model", Verdict.GOOD, f"{preset.name}: {preset.title}")
    memory_plans = possible_plans(preset, detect_from_driver(resources.device), resources)
    if not memory_plans:
        return CheckResult("model", Verdict.BAD, messages.explain(OutOfMemory(preset.name)))
    return CheckResult("model", Verdict.GOOD, f"{preset.name}: {memory_plans[0]}")


def _clip_inspection(chosen: str, action: str) -> CheckResult:
    """`chosen` is the setting; `action` is what follows from it on this machine."""
    if chosen == "auto" and action == "off":
        detail = "nudenet is missing, so finished clips are not inspected: pip install 'matinee[safety]'"
        return CheckResult("look at clips", Verdict.LEFT_OUT, detail)
    if action == "off":
        return CheckResult("look at clips", Verdict.LEFT_OUT, 'switched off: [rules] after = "off"')
    if not nsfw.available():
        return CheckResult("look at clips", Verdict.BAD, "pip install 'matinee[safety]'")
    return CheckResult("look at clips", Verdict.GOOD, f"by nudenet, then: {action}")


def _opened_files() -> CheckResult:
    try:
        return opened_files(isolation_of_this_machine())
    except (AttachmentRefused, OSError):
        return CheckResult("attached files", Verdict.BAD, "the process that opens them does not work here")


def opened_files(isolation: Isolation) -> CheckResult:
    """What the process that opens attached files cannot reach on this machine."""
    missing = [ISOLATED[name] for name in isolation.missing()]
    held = [text for name, text in ISOLATED.items() if name not in isolation.missing()]
    detail = "; ".join(
        f"{what} {', '.join(names)}"
        for what, names in (("kept from", held), ("this system cannot keep it from", missing))
        if names
    )
    verdict = Verdict.LEFT_OUT if missing else Verdict.GOOD
    return CheckResult("attached files", verdict, f"opened in a process of its own, {detail}")


def model_fit_on(card: ComputeDevice, presets: Iterable[Preset], resources: Resources) -> list[CheckResult]:
    """How every model would fit on a card that need not be in this machine."""
    return [_model_fit(preset, card, resources) for preset in presets if preset.source]


def _model_fit(preset: Preset, card: ComputeDevice, resources: Resources) -> CheckResult:
    """The memory plan of a model on a card, whether or not its weights are downloaded."""
    memory_plans = possible_plans(preset, card, resources)
    if not memory_plans:
        smallest_gb = min(preset.memory.values(), default=0.0)
        return CheckResult(
            preset.name, Verdict.LEFT_OUT, f"{card.name} is too small: {smallest_gb:g} GB are the least"
        )
    detail = str(memory_plans[0]) + (
        f"; if that is too much, {memory_plans[1].tier.value}" if len(memory_plans) > 1 else ""
    )
    return CheckResult(preset.name, Verdict.GOOD, detail)


def _data_folder(data: Path, min_free_bytes: int) -> CheckResult:
    nearest = next(folder for folder in (data, *data.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(nearest).free
    if not os.access(nearest, os.W_OK):
        return CheckResult("data folder", Verdict.BAD, f"{data}: Matinee may not write there")
    verdict = Verdict.GOOD if free >= min_free_bytes else Verdict.BAD
    return CheckResult("data folder", verdict, f"{data}, {messages.file_size(free)} free")
