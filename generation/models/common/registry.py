"""Registry of picture model families: `@picture_model("name")` registers a class as a family."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Protocol, TypeVar

from generation import models
from generation.clip import Frames
from generation.errors import ModelBroken, PresetBroken
from generation.models.common.memory_plan import MemoryPlan
from generation.models.common.preset import Preset
from generation.progress import OnStep
from generation.request import Request, closest_match

__all__ = [
    "MemoryPlan",
    "PictureModel",
    "Preset",
    "check_preset",
    "families",
    "family_class",
    "load",
    "lossy_options",
    "picture_model",
]


class PictureModel(Protocol):
    """A loaded picture model. It runs in the engine's child process, in one thread at a time."""

    @classmethod
    def load(cls, preset: Preset, plan: MemoryPlan) -> PictureModel:
        """Load the weights into memory; raises ModelMissing or ModelBroken."""

    def generate_frames(self, request: Request, on_step: OnStep) -> Frames:
        """Generate frames; `on_step` is called after every step and may raise Cancelled."""

    def close(self) -> None:
        """Release the memory."""


_REGISTERED_FAMILIES: dict[str, type[PictureModel]] = {}
PictureModelClass = TypeVar("PictureModelClass", bound=type[PictureModel])


def picture_model(name: str) -> Callable[[PictureModelClass], PictureModelClass]:
    def register(cls: PictureModelClass) -> PictureModelClass:
        _REGISTERED_FAMILIES[name] = cls
        return cls

    return register


def families() -> tuple[str, ...]:
    """Names of all families: one for each file here, found without importing it, and those of plug-ins."""
    files = {m.name for m in pkgutil.iter_modules(models.__path__)} - {"common"}
    return tuple(sorted(files | _REGISTERED_FAMILIES.keys()))


def family_class(preset: Preset) -> type[PictureModel]:
    """The preset's family. Importing it is quick: it imports no heavy library."""
    if preset.family not in families():
        raise ModelBroken(preset.name, f"no family {preset.family!r}")
    if preset.family not in _REGISTERED_FAMILIES:
        importlib.import_module(f"{models.__name__}.{preset.family}")
    return _REGISTERED_FAMILIES[preset.family]


def check_preset(preset: Preset) -> None:
    """Raise PresetBroken if the family or an option does not exist. Imports no heavy library."""
    if preset.family not in families():
        raise PresetBroken(
            f"{preset.name}.family", f"is {preset.family!r}", closest_match(preset.family, families())
        )
    known = tuple(sorted(getattr(family_class(preset), "known_options", frozenset)()))
    for option in preset.options:
        if option not in known:
            raise PresetBroken(
                f"{preset.name}.options.{option}",
                "is not an option of this family",
                closest_match(option, known),
            )
    supported = lossy_options(preset)
    for lossy_option in preset.options.get("lossy", ()):
        if lossy_option not in supported:
            raise PresetBroken(
                f"{preset.name}.options.lossy",
                f"{lossy_option!r} does not work with this family",
                closest_match(str(lossy_option), supported),
            )


def lossy_options(preset: Preset) -> tuple[str, ...]:
    """Names of the lossy options that its family supports."""
    return tuple(sorted(getattr(family_class(preset), "supported_lossy", ())))


def load(preset: Preset, plan: MemoryPlan | None = None) -> PictureModel:
    return family_class(preset).load(preset, plan or MemoryPlan())
