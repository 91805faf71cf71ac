"""Writes a request as the command line that makes the same clip again."""

from __future__ import annotations

import shlex

from bot.i18n import messages
from generation.request import PROMPT_LIMIT, Kind, Request


def command_line(request: Request) -> str | None:
    """The command line; None for a clip that was made from another file, which the command line would need.

    The text comes from a file that anyone may have written, so control characters are removed.
    """
    if request.kind is not Kind.VIDEO:
        return None
    words = ["matinee", "make", request.prompt, *_music_options(request)]
    options: dict[str, object] = {
        "--model": request.model,
        "--seconds": f"{request.seconds:.6g}",
        "--size": f"{request.width}x{request.height}",
        "--fps": f"{request.fps:g}",
        "--seed": request.seed,
        "--steps": request.steps,
        "--guidance": f"{request.guidance:g}",
        "--negative": request.negative,
        "--style": request.style,
        "--camera": request.camera,
    }
    words += [f"{name}={value}" for name, value in options.items() if value not in (None, "")]
    return shlex.join(messages.sanitized(word, PROMPT_LIMIT) for word in words)


def _music_options(request: Request) -> list[str]:
    music = request.music
    if music.genre == "none":
        return ["--no-music"]
    options = {
        "--genre": music.genre,
        "--mood": music.mood,
        "--tempo": f"{music.bpm:g}",
        "--instruments": ",".join(music.instruments),
    }
    return [f"{name}={value}" for name, value in options.items() if value]
