"""A request as the command that a user sends to get the same clip again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bot.domain.jobs import Job
from bot.i18n import messages
from generation.request import PROMPT_LIMIT, Kind, Request

VIDEO_ONLY_OPTIONS = frozenset({"seconds", "camera", "genre", "mood", "tempo", "instruments"})
FILE_NAME_LENGTH = 60

WriteCommand = Callable[[Request], str]
"""Writes a request in the syntax of one chat."""


@dataclass(frozen=True, slots=True)
class RecipeText:
    title: str
    command: str = ""  # empty where a file has no recipe


def job_recipe(job: Job, language: str, write_command: WriteCommand) -> RecipeText:
    title = messages.translate("recipe.title", language, job=job.id)
    return RecipeText(title, write_command(job.request))


def file_recipe(
    request: Request | None, file_name: str, language: str, write_command: WriteCommand
) -> RecipeText:
    """Say how an attached file was made; `request` is None where the file has no recipe."""
    name = messages.sanitized(file_name, FILE_NAME_LENGTH)
    if request is None:
        return RecipeText(messages.translate("recipe.missing", language, file=name))
    return RecipeText(messages.translate("recipe.file_title", language, file=name), write_command(request))


def slash_command(request: Request) -> str:
    """Write the request as a slash command: /video prompt: a fox model: pocket seed: 7"""
    is_picture, music = request.kind is Kind.IMAGE, request.music
    options: dict[str, object] = {
        "prompt": messages.sanitized(request.prompt, PROMPT_LIMIT),
        "model": request.model,
        "seconds": f"{request.seconds:.2f}".rstrip("0").rstrip("."),
        "style": request.style,
        "camera": request.camera,
        "negative": messages.sanitized(request.negative, PROMPT_LIMIT),
        "genre": music.genre,
        "mood": music.mood,
        "tempo": f"{music.bpm:g}",
        "instruments": ", ".join(music.instruments),
        "seed": request.seed,
    }
    if is_picture:
        options = {name: value for name, value in options.items() if name not in VIDEO_ONLY_OPTIONS}
    option_texts = (f"{name}: {value}" for name, value in options.items() if value or value == 0)
    return " ".join((f"/{'image' if is_picture else 'video'}", *option_texts))
