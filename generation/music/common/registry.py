"""Registry of music makers: `@music_maker("name")` registers a class with load and compose."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from generation import music
from generation.clip import Audio
from generation.errors import MusicFailed
from generation.progress import OnStep
from generation.request import Music

__all__ = ["MusicMaker", "load", "makers", "music_maker"]


class MusicMaker(Protocol):
    """A loaded music maker. It runs in the engine's child process, in one thread at a time."""

    @classmethod
    def load(cls, options: dict[str, Any]) -> MusicMaker:
        """Load it into memory; raises ModelMissing or ModelBroken.

        `options` is plain data from the config: the maker's own table and, under "genres", the genre tables.
        """

    def compose(self, music: Music, samples: int, rate: int, on_step: OnStep) -> Audio:
        """Compose exactly `samples` stereo samples at `rate`; `on_step` may raise Cancelled."""

    def close(self) -> None:
        """Release the memory."""


OLD_NAMES = {"elsewhere": "external_process"}
"""Old names of makers, which configurations may still use."""
_MAKERS: dict[str, type[MusicMaker]] = {}
MusicMakerClass = TypeVar("MusicMakerClass", bound=type[MusicMaker])


def music_maker(name: str) -> Callable[[MusicMakerClass], MusicMakerClass]:
    def register(cls: MusicMakerClass) -> MusicMakerClass:
        _MAKERS[name] = cls
        return cls

    return register


def makers() -> tuple[str, ...]:
    """Names of all makers: one for each file or folder here, found without importing it, and plug-ins."""
    files = {m.name for m in pkgutil.iter_modules(music.__path__)} - {"common"}
    return tuple(sorted(files | _MAKERS.keys()))


def load(name: str, options: dict[str, Any]) -> MusicMaker:
    """Load the maker of this name, or the one that the option "maker" names."""
    maker = str(options.get("maker", name))
    maker = OLD_NAMES.get(maker, maker)
    if maker not in makers():
        raise MusicFailed(name, "no such music maker")
    if maker not in _MAKERS:
        importlib.import_module(f"{music.__name__}.{maker}")
    return _MAKERS[maker].load(options)
