"""Keep models in memory between renders while they fit; the least recently used is unloaded first."""

from __future__ import annotations

import gc
import logging
import weakref
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from generation.errors import BadFrames, OutOfMemory
from generation.models.common import registry
from generation.models.common.memory_plan import ComputeDevice, MemoryPlan, Resources, possible_plans
from generation.models.common.preset import MemoryTier

if TYPE_CHECKING:
    from generation.clip import Frames
    from generation.models.common.device import HeldMemory
    from generation.models.common.registry import PictureModel, Preset
    from generation.progress import OnStep
    from generation.request import Request

log = logging.getLogger(__name__)
SAFE_DTYPE = "float32"


@dataclass(slots=True)
class LoadedModel:
    preset: Preset
    plan: MemoryPlan
    model: PictureModel


class ModelCache:
    def __init__(self, resources: Resources | None = None, device: ComputeDevice | None = None) -> None:
        """`device` is detected at the first load when it is not given."""
        self._resources = resources or Resources()
        self._loaded: OrderedDict[str, LoadedModel] = OrderedDict()
        self._device = device
        self._released_parts: list[weakref.ref[object]] = []  # parts of unloaded models
        self._released_weights: list[HeldMemory] = []
        self.needs_restart = False  # memory was not released: only a new process helps

    def __contains__(self, preset: Preset) -> bool:
        held = self._loaded.get(preset.name)
        return held is not None and held.preset == preset

    def generate_frames(self, preset: Preset, request: Request, on_step: OnStep) -> Frames:
        """Generate frames; OutOfMemory is retried with every plan that needs less, BadFrames in float32."""
        plan = self._loaded[preset.name].plan if preset in self else self._candidate_plans(preset)[0]
        usual_dtype = plan.dtype
        while True:
            try:
                return self._get_or_load(preset, plan).model.generate_frames(request, on_step)
            except OutOfMemory:
                fallback = self._plan_with_less_memory(preset, plan)
                if fallback is None:
                    raise
            except BadFrames:
                fallback = self._plan_in_float32(preset, plan)
                if fallback is None:
                    raise
            finally:
                if plan.dtype != usual_dtype:
                    self._unload(preset.name)  # the next request uses the fast plan again
            log.warning("retrying %s: %s", preset.name, fallback)
            self._unload(preset.name)
            plan = fallback

    def close(self) -> None:
        for name in list(self._loaded):
            self._unload(name)

    def _candidate_plans(self, preset: Preset) -> tuple[MemoryPlan, ...]:
        candidates = self._possible_plans(preset, self._resources)
        if not candidates:
            raise OutOfMemory(preset.name)
        return candidates

    def _possible_plans(self, preset: Preset, resources: Resources) -> tuple[MemoryPlan, ...]:
        if not preset.source:
            return (MemoryPlan(),)
        if self._device is None:
            from generation.models.common.device import detect_device  # noqa: PLC0415  (imports torch)

            self._device = detect_device(resources.device)
        return possible_plans(preset, self._device, resources)

    def _plan_with_less_memory(self, preset: Preset, plan: MemoryPlan) -> MemoryPlan | None:
        candidates = self._possible_plans(preset, replace(self._resources, dtype=plan.dtype))
        return next((smaller for smaller in candidates if smaller.gigabytes < plan.gigabytes), None)

    def _plan_in_float32(self, preset: Preset, plan: MemoryPlan) -> MemoryPlan | None:
        """The fastest plan in float32 that is not faster than `plan`, which may have run out of memory."""
        if plan.dtype == SAFE_DTYPE or not preset.source:
            return None
        candidates = self._possible_plans(preset, replace(self._resources, dtype=SAFE_DTYPE))
        order = list(MemoryTier)
        slower = (way for way in candidates if order.index(way.tier) >= order.index(plan.tier))
        return next(slower, None)

    def _get_or_load(self, preset: Preset, plan: MemoryPlan) -> LoadedModel:
        if preset in self:
            self._loaded.move_to_end(preset.name)
            return self._loaded[preset.name]
        self._unload(preset.name)
        return self._load(preset, plan)

    def _load(self, preset: Preset, plan: MemoryPlan) -> LoadedModel:
        self._check_for_leaks()
        while self._loaded and not self._fits(plan):
            self._unload(next(iter(self._loaded)))
        log.info("loading %s: %s", preset.name, plan)
        self._loaded[preset.name] = LoadedModel(preset, plan, registry.load(preset, plan))
        return self._loaded[preset.name]

    def _check_for_leaks(self) -> None:
        """Ask for a restart if an unloaded model is still referenced, for example by a traceback."""
        gc.collect()
        if any(part() is not None for part in self._released_parts):
            log.warning("an unloaded model is still in memory")
            self.needs_restart = True
        if not all(weights.released for weights in self._released_weights):
            log.warning("the weights of an unloaded model are still in memory")
            self.needs_restart = True
        self._released_parts.clear()
        self._released_weights.clear()

    def _fits(self, plan: MemoryPlan) -> bool:
        if self._device is None or not self._device.total:
            return False
        available = min(self._device.total, self._resources.gigabytes or self._device.total)
        return plan.gigabytes + sum(held.plan.gigabytes for held in self._loaded.values()) <= available

    def _unload(self, name: str) -> None:
        held = self._loaded.pop(name, None)
        if held is None:
            return
        parts: tuple[object, ...] = getattr(held.model, "weight_modules", tuple)()
        self._released_parts += [weakref.ref(part) for part in parts]
        if not held.preset.source:
            held.model.close()
            return
        from generation.models.common.device import HeldMemory, release_unused_memory  # noqa: PLC0415  (imports torch)

        self._released_weights.append(HeldMemory(parts))
        held.model.close()
        del held, parts
        release_unused_memory()
