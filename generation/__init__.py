"""Render a Request to a finished Clip. Independent of chats, users and the database.

The names below are imported when they are used: a process that opens one file needs few of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from generation.clip import Clip
    from generation.errors import GenerationError, RequestError
    from generation.progress import Cancelled, Progress, Stage
    from generation.request import Kind, Music, MusicWish, Request, Wish

__all__ = [
    "Cancelled",
    "Clip",
    "GenerationError",
    "Kind",
    "Music",
    "MusicWish",
    "Progress",
    "Request",
    "RequestError",
    "Stage",
    "Wish",
]
_MODULES = {
    "clip": ("Clip",),
    "errors": ("GenerationError", "RequestError"),
    "progress": ("Cancelled", "Progress", "Stage"),
    "request": ("Kind", "Music", "MusicWish", "Request", "Wish"),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"generation.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
