"""Models that stay in memory between renders while they fit: the one used longest ago goes first."""

from __future__ import annotations

import gc
import logging
import weakref
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from generation.errors import BadFrames, OutOfMemory
from generation.models.common import registry
from generation.models.common.memory_plan import Card, Means, Plan, plans

if TYPE_CHECKING:
    from generation.clip import Frames
    from generation.models.common.registry import Model, Preset
    from generation.progress import OnStep
    from generation.request import Request

log = logging.getLogger(__name__)
SAFE = "float32"


@dataclass(slots=True)
class Held:
    preset: Preset
    plan: Plan
    model: Model


class Residents:
    def __init__(self, means: Means | None = None) -> None:
        self._means = means or Means()
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._card: Card | None = None
        self._left: list[weakref.ref[object]] = []  # parts of models that were let go
        self.tired = False  # memory did not come back: only a new process helps

    def __contains__(self, preset: Preset) -> bool:
        held = self._held.get(preset.name)
        return held is not None and held.preset == preset

    def paint(self, preset: Preset, request: Request, on_step: OnStep) -> Frames:
        """Paint with the resident model. Too little memory or a broken picture gets one other try."""
        ways = self._ways(preset)
        plan = self._held[preset.name].plan if preset in self else ways[0]
        try:
            return self._get(preset, plan).model.paint(request, on_step)
        except OutOfMemory:
            poorer = [way for way in ways if way.gigabytes < plan.gigabytes]
            if not poorer:
                raise
            second = poorer[0]
        except BadFrames:
            if plan.dtype == SAFE or not preset.source:
                raise
            second = replace(plan, dtype=SAFE)
        log.warning("%s is tried again: %s", preset.name, second)
        self._drop(preset.name)
        try:
            return self._load(preset, second).model.paint(request, on_step)
        finally:
            if second.dtype == SAFE:
                self._drop(preset.name)  # the next picture deserves the fast way again

    def close(self) -> None:
        for name in list(self._held):
            self._drop(name)

    def _ways(self, preset: Preset) -> tuple[Plan, ...]:
        if not preset.source:
            return (Plan(),)
        if self._card is None:
            from generation.models.common.device import see  # noqa: PLC0415  (imports torch)

            self._card = see(self._means.device)
        ways = plans(preset, self._card, self._means)
        if not ways:
            raise OutOfMemory(preset.name)
        return ways

    def _get(self, preset: Preset, plan: Plan) -> Held:
        if preset in self:
            self._held.move_to_end(preset.name)
            return self._held[preset.name]
        self._drop(preset.name)
        return self._load(preset, plan)

    def _load(self, preset: Preset, plan: Plan) -> Held:
        self._look_for_leaks()
        while self._held and not self._fits(plan):
            self._drop(next(iter(self._held)))
        log.info("%s is loaded: %s", preset.name, plan)
        self._held[preset.name] = Held(preset, plan, registry.load(preset, plan))
        return self._held[preset.name]

    def _look_for_leaks(self) -> None:
        """By the next load nothing may hold on to a model that was let go, not even an error's traceback."""
        gc.collect()
        if any(part() is not None for part in self._left):
            log.warning("a model that was let go is still in memory")
            self.tired = True
        self._left.clear()

    def _fits(self, plan: Plan) -> bool:
        if self._card is None or not self._card.total:
            return False
        room = min(self._card.total, self._means.gigabytes or self._card.total)
        return plan.gigabytes + sum(held.plan.gigabytes for held in self._held.values()) <= room

    def _drop(self, name: str) -> None:
        held = self._held.pop(name, None)
        if held is None:
            return
        self._left += [weakref.ref(part) for part in getattr(held.model, "parts", tuple)()]
        held.model.close()
        if held.preset.source:
            from generation.models.common.device import gave_back  # noqa: PLC0415  (imports torch)

            if not self._held and not gave_back(held.plan.device):
                log.warning("%s did not give its memory back", name)
                self.tired = True
