"""How well a model does what it is asked, where that was measured: its folder says so."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from generation.errors import ModelMissing
from generation.models.common.weights import find_folder

if TYPE_CHECKING:
    from generation.models.common.preset import Preset


def measured_scores(preset: Preset) -> dict[str, Any] | None:
    """Scores in per cent by set of captions, with the command that measured them; None where nobody did."""
    if not preset.scores:
        return None
    with suppress(ModelMissing, OSError, ValueError):
        facts: dict[str, Any] = json.loads(
            (find_folder(preset.name, preset.source) / preset.scores).read_text("utf-8")
        )
        return facts
    return None
