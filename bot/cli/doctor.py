"""Is everything here that Matinee needs? Looks, loads nothing heavy, changes nothing."""

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
from generation.errors import FfmpegMissing, ModelMissing, OutOfMemory
from generation.media import nsfw
from generation.media.ffmpeg import find
from generation.models.common.device import guess
from generation.models.common.memory_plan import Card, Means, plans
from generation.models.common.preset import Preset
from generation.models.common.pull import is_here

PACKAGES = (
    "torch",
    "diffusers",
    "transformers",
    "discord.py",
    "python-telegram-bot",
    "aiosqlite",
    "av",
    "ffmpeg-python",
)


class Verdict(StrEnum):
    GOOD = "ok"
    LEFT_OUT = "left out"
    BAD = "missing"


@dataclass(frozen=True, slots=True)
class Finding:
    what: str
    verdict: Verdict
    detail: str


def examine(
    *,
    data: Path,
    floor: int,
    configured_ffmpeg: str,
    preset: Preset,
    means: Means,
    chats: dict[str, str | None],
    after: str = "off",
) -> list[Finding]:
    """`chats` says for each chat why it is left out, or None; `after` is what follows a look at a clip."""
    return [
        Finding(
            "python", Verdict.GOOD, f"{platform.python_version()} on {platform.system()} {platform.machine()}"
        ),
        _ffmpeg(configured_ffmpeg),
        *map(_package, PACKAGES),
        _accelerator(),
        _folder(data, floor),
        _model(preset, means),
        _inspection(after),
        *(
            Finding(name, Verdict.LEFT_OUT if why else Verdict.GOOD, why or "will start with `matinee run`")
            for name, why in chats.items()
        ),
    ]


def table(findings: list[Finding]) -> Table:
    return Table(
        "Doctor",
        ("", "", ""),
        tuple((f.what, f.verdict, f.detail) for f in findings),
        "",
        [{"what": f.what, "verdict": f.verdict, "detail": f.detail} for f in findings],
    )


def _ffmpeg(configured: str) -> Finding:
    try:
        found = find(configured or None)
    except FfmpegMissing as error:
        return Finding("ffmpeg", Verdict.BAD, messages.explain(error))
    return Finding("ffmpeg", Verdict.GOOD, f"{found.version}, {found.origin}: {found.path}")


def _package(name: str) -> Finding:
    try:
        return Finding(name, Verdict.GOOD, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, Verdict.BAD, f"pip install {name}")


def _accelerator() -> Finding:
    """By the driver's own files, since asking torch takes seconds."""
    cards = sorted(Path("/proc/driver/nvidia/gpus").glob("*")) if platform.system() == "Linux" else []
    detail = f"{len(cards)} NVIDIA" if cards else f"none seen; {os.cpu_count()} CPU cores will do the work"
    return Finding("graphics card", Verdict.GOOD if cards else Verdict.LEFT_OUT, detail)


def _model(preset: Preset, means: Means) -> Finding:
    """Whether it is here, and how it would be held."""
    if not is_here(preset):
        return Finding("model", Verdict.BAD, messages.explain(ModelMissing(preset.name)))
    if not preset.source:
        return Finding("model", Verdict.GOOD, f"{preset.name}: {preset.title}")
    ways = plans(preset, guess(means.device), means)
    if not ways:
        return Finding("model", Verdict.BAD, messages.explain(OutOfMemory(preset.name)))
    return Finding("model", Verdict.GOOD, f"{preset.name}: {ways[0]}")


def _inspection(after: str) -> Finding:
    if after == "off":
        return Finding("look at clips", Verdict.LEFT_OUT, 'switched off: [rules] after = "off"')
    if not nsfw.available():
        return Finding("look at clips", Verdict.BAD, "pip install 'matinee[safety]'")
    return Finding("look at clips", Verdict.GOOD, f"by nudenet, then: {after}")


def imagined(card: Card, presets: Iterable[Preset], means: Means) -> list[Finding]:
    """Every model on a card that is not here."""
    return [_held(preset, card, means) for preset in presets if preset.source]


def _held(preset: Preset, card: Card, means: Means) -> Finding:
    """How a model would be held on a card, whether or not its weights are here."""
    ways = plans(preset, card, means)
    if not ways:
        least = min(preset.memory.values(), default=0.0)
        return Finding(preset.name, Verdict.LEFT_OUT, f"{card.name} is too small: {least:g} GB are the least")
    told = str(ways[0]) + (f"; if that is too much, {ways[1].keep.value}" if len(ways) > 1 else "")
    return Finding(preset.name, Verdict.GOOD, told)


def _folder(data: Path, floor: int) -> Finding:
    nearest = next(folder for folder in (data, *data.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(nearest).free
    if not os.access(nearest, os.W_OK):
        return Finding("data folder", Verdict.BAD, f"{data}: Matinee may not write there")
    verdict = Verdict.GOOD if free >= floor else Verdict.BAD
    return Finding("data folder", verdict, f"{data}, {messages.size(free)} free")
