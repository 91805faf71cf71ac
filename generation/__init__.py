"""Pictures and sound: from a Request to a finished Clip. Knows nothing of chats, people or SQL."""

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
