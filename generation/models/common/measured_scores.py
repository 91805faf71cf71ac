"""Read how well a model follows its prompts, where that was measured and saved with the weights."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from generation.errors import ModelMissing
from generation.models.common.weights import find_folder

if TYPE_CHECKING:
    from generation.models.common.preset import Preset


def measured_scores(preset: Preset) -> dict[str, Any] | None:
    """Scores in per cent for each set of captions, and the command that measured them; None if unmeasured."""
    if not preset.scores:
        return None
    with suppress(ModelMissing, OSError, ValueError):
        facts: dict[str, Any] = json.loads(
            (find_folder(preset.name, preset.source) / preset.scores).read_text("utf-8")
        )
        return facts
    return None
