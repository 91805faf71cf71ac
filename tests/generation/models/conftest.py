"""A tiny pipeline of each family, built once per test run and loaded like real weights."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from generation import Kind, Request
from generation.models.common.registry import Preset
from generation.request import Limits
from tests.factories import NO_MUSIC, make_preset, make_request

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # set before torch is imported: with tiny tensors two threads are slower than one
LANGUAGE_MODEL_FAMILIES = {"ltx2", "sana", "kandinsky5", "hunyuan15", "kandinsky5_i2v", "hunyuan15_i2v"}
VARIANTS = {"kandinsky5_i2v": "kandinsky5", "hunyuan15_i2v": "hunyuan15", "wan_text_only": "wan"}
"""Other kinds of weights of a family: image-to-video or text-only."""
EXTRA_OPTIONS: dict[str, dict[str, Any]] = {
    "kandinsky5": {"max_sequence_length": 1000},
    "ltx2": {"max_sequence_length": 16, "stg_scale": 0.0, "modality_scale": 1.0, "guidance_rescale": 0.0},
    "sana": {"max_sequence_length": 16, "instruction": []},
}
FRAME_COUNTS = {
    "modelscope": 4,
    "animatediff": 4,
    "image": 1,
    "wan": 5,
    "sana": 5,
    "hunyuan15": 5,
    "kandinsky5": 5,
}
FRAME_COUNTS |= {"hunyuan15_i2v": 5, "kandinsky5_i2v": 21, "wan_text_only": 5}


def build_preset(name: str, folder: Path) -> Preset:
    """Write weights to `folder` and return a preset for them; `name` is a family or a variant."""
    family = VARIANTS.get(name, name)
    from tests.generation.models import tiny_llm_pipelines, tiny_pipelines  # noqa: PLC0415  (imports torch, only when needed)

    options = dict(EXTRA_OPTIONS.get(family, {}))
    if family == "animatediff":
        for style in ("plain", "other"):
            tiny_pipelines.stable_diffusion(folder / style)
        tiny_pipelines.motion_adapter(folder / "weights")
        options["styles"] = {style: str(folder / style) for style in ("plain", "other")}
    elif family == "image":
        tiny_pipelines.stable_diffusion(folder / "weights")
    else:
        getattr(tiny_llm_pipelines if name in LANGUAGE_MODEL_FAMILIES else tiny_pipelines, name)(
            folder / "weights"
        )
    return make_preset(
        f"tiny-{name}",
        family=family,
        source=str(folder / "weights"),
        options=options,
        limits=Limits(width=32, height=32, kinds=(Kind.VIDEO, Kind.ANIMATE)),
    )


@pytest.fixture(scope="session")
def tiny_preset(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Preset]:
    built: dict[str, Preset] = {}

    def get(family: str) -> Preset:
        if family not in built:
            built[family] = build_preset(family, tmp_path_factory.mktemp(family))
        return built[family]

    return get


def tiny_request(family: str, **changes: Any) -> Request:
    """A request for the preset of this family."""
    tiny: dict[str, Any] = {
        "model": f"tiny-{family}",
        "width": 32,
        "height": 32,
        "frames": FRAME_COUNTS.get(family, 9),
        "fps": 8.0,
        "seed": 3,
        "steps": 2,
        "guidance": 3.0,
        "music": NO_MUSIC,
    }
    return make_request(**(tiny | changes))
