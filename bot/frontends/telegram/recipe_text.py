"""A request written as the command that makes the same clip again."""

from __future__ import annotations

from bot.domain.errors import USER_ERRORS
from bot.frontends.telegram import option_parser
from generation.request import Kind, Request, Wish

COMMANDS = {Kind.IMAGE: "/image", Kind.ANIMATE: "/animate"}


def recipe_command(request: Request) -> str:
    """The command for `request`. `option_parser.parse_wish` reads it back into the same request."""
    parts = [COMMANDS.get(request.kind, "/video"), _prompt_part(request)]
    if request.kind is not Kind.IMAGE:
        parts += [_music_part(request), f"{request.seconds:.6g}s"]
    parts += [f"{request.width}x{request.height}", f"{request.fps:g}fps"]
    parts += [f"seed={request.seed}", f"steps={request.steps}", f"guidance={request.guidance:g}"]
    parts += [f"model={request.model}"]
    parts += [f"{name}={value}" for name in ("style", "camera") if (value := getattr(request, name))]
    if request.negative:
        parts.append(f'negative="{request.negative.replace(chr(34), chr(39))}"')
    return " ".join(filter(None, parts))


def _prompt_part(request: Request) -> str:
    """The prompt, in quotes if some of its words would be parsed as options."""
    try:
        plain = option_parser.parse_wish(f"{request.prompt} 1s") == Wish(prompt=request.prompt, seconds=1.0)
    except USER_ERRORS:
        plain = False
    return request.prompt if plain else f'prompt="{request.prompt.replace(chr(34), chr(39))}"'


def _music_part(request: Request) -> str:
    music = request.music
    if music.genre == "none":
        return "--no-music"
    parts = [f"genre={music.genre}", f"tempo={music.bpm:g}"]
    if music.mood:
        parts.append(f"mood={music.mood}")
    if music.instruments:
        parts.append(f'instruments="{",".join(music.instruments)}"')
    return " ".join(parts)
