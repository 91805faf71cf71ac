"""Picture models, one file a family: @model("name") on a class that can load and paint registers it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Protocol, TypeVar

from generation import models
from generation.clip import Frames
from generation.errors import ModelBroken, PresetBroken
from generation.models.common.memory_plan import Plan
from generation.models.common.preset import Preset
from generation.progress import OnStep
from generation.request import Request, near

__all__ = ["Model", "Plan", "Preset", "check", "families", "family", "load", "lossy_ways", "model"]


class Model(Protocol):
    """A loaded picture model. It lives in the engine's child and is called from one thread at a time."""

    @classmethod
    def load(cls, preset: Preset, plan: Plan) -> Model:
        """Bring the weights into memory; raises ModelMissing or ModelBroken."""

    def paint(self, request: Request, on_step: OnStep) -> Frames:
        """Paint; `on_step` is called after every step and may raise Cancelled."""

    def close(self) -> None:
        """Give the memory back."""


_FAMILIES: dict[str, type[Model]] = {}
M = TypeVar("M", bound=type[Model])


def model(name: str) -> Callable[[M], M]:
    def register(cls: M) -> M:
        _FAMILIES[name] = cls
        return cls

    return register


def families() -> tuple[str, ...]:
    """Every family there is a file for, without importing any, and those that plug-ins registered."""
    files = {m.name for m in pkgutil.iter_modules(models.__path__)} - {"common"}
    return tuple(sorted(files | _FAMILIES.keys()))


def family(preset: Preset) -> type[Model]:
    """The preset's family; importing it costs little, no heavy library comes with it."""
    if preset.family not in families():
        raise ModelBroken(preset.name, f"no family {preset.family!r}")
    if preset.family not in _FAMILIES:
        importlib.import_module(f"{models.__name__}.{preset.family}")
    return _FAMILIES[preset.family]


def check(preset: Preset) -> None:
    """The family exists and knows the preset's options; raises PresetBroken. Loads nothing heavy."""
    if preset.family not in families():
        raise PresetBroken(f"{preset.name}.family", f"is {preset.family!r}", near(preset.family, families()))
    known = tuple(sorted(getattr(family(preset), "options", frozenset)()))
    for option in preset.options:
        if option not in known:
            raise PresetBroken(f"{preset.name}.options.{option}", "is no option of it", near(option, known))
    able = lossy_ways(preset)
    for way in preset.options.get("lossy", ()):
        if way not in able:
            raise PresetBroken(
                f"{preset.name}.options.lossy", f"{way!r} does not work with it", near(str(way), able)
            )


def lossy_ways(preset: Preset) -> tuple[str, ...]:
    """What its family can give up for speed or memory, by name."""
    return tuple(sorted(getattr(family(preset), "lossy", ())))


def load(preset: Preset, plan: Plan | None = None) -> Model:
    return family(preset).load(preset, plan or Plan())
