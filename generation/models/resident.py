"""Models that stay in memory between renders: the one used last goes last."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from generation import models

if TYPE_CHECKING:
    from generation.models import Model, Preset


class Residents:
    def __init__(self, most: int = 1) -> None:
        self._most = most
        self._models: OrderedDict[str, tuple[Preset, Model]] = OrderedDict()

    def __contains__(self, preset: Preset) -> bool:
        held = self._models.get(preset.name)
        return held is not None and held[0] == preset

    def get(self, preset: Preset) -> Model:
        """The loaded model; others make room for it first. Raises what `models.load` raises."""
        if preset not in self:
            self._drop(preset.name)
            while len(self._models) >= self._most:
                self._drop(next(iter(self._models)))
            self._models[preset.name] = preset, models.load(preset)
        self._models.move_to_end(preset.name)
        return self._models[preset.name][1]

    def close(self) -> None:
        for name in list(self._models):
            self._drop(name)

    def _drop(self, name: str) -> None:
        held = self._models.pop(name, None)
        if held is not None:
            held[1].close()
