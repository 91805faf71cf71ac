"""Every file of generation/music/ is a music maker, and plug-ins can register others."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from generation.clip import Audio
from generation.errors import MusicFailed
from generation.music.common.registry import load, makers, music_maker
from generation.progress import OnStep
from generation.request import Music

SHIPPED = ("acestep", "band", "external_process", "musicgen", "stableaudio", "track")


@music_maker("plugged_in")
class SilentMaker:
    """A maker that no file of generation/music/ defines."""

    @classmethod
    def load(cls, options: dict[str, Any]) -> SilentMaker:
        assert options["volume"] == 0
        return cls()

    def compose(self, music: Music, samples: int, rate: int, on_step: OnStep) -> Audio:
        assert music.maker == "plugged_in"
        on_step(1, 1)
        return Audio(np.zeros((samples, 2), np.float32), rate)

    def close(self) -> None: ...


@pytest.mark.parametrize("name", SHIPPED)
def test_each_shipped_file_registers_a_maker_under_its_own_name(name: str) -> None:
    assert name in makers()
    module = importlib.import_module(f"generation.music.{name}")
    registered = [getattr(module, public) for public in module.__all__]
    assert any(hasattr(maker, "compose") and hasattr(maker, "load") for maker in registered)


def test_nothing_but_makers_is_listed() -> None:
    assert {*SHIPPED, "plugged_in"} <= set(makers())
    assert {name for name in makers() if find_spec(f"generation.music.{name}")} == set(SHIPPED)


def test_a_maker_of_a_plug_in_can_be_loaded() -> None:
    maker = load("quiet", {"maker": "plugged_in", "volume": 0})
    audio = maker.compose(Music(genre="pop", maker="plugged_in"), 12, 48_000, lambda _done, _total: None)
    assert audio.samples.shape == (12, 2)


def test_an_unknown_maker_is_refused() -> None:
    with pytest.raises(MusicFailed, match="no such music maker"):
        load("quiet", {"maker": "unknown"})
