"""Render a Request to a finished Clip. Independent of chats, users and the database."""

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
